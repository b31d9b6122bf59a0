import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { listDisks, removeDisks } from './disks.ts';
import { changeRecords, deleteNames, findZone, listAddresses, removeAddresses } from './names.ts';
import type { CellScope, StateScope } from './scope.ts';
import {
  changePlaces,
  deleteItems,
  describeTasks,
  listItems,
  listTasks,
  readItems,
  sendLooks,
  stopTasks,
  writeItems,
} from './statements.ts';

/** Stops tasks and removes name and record. It holds no key and starts nothing. */
export const deletePolicy = (state: StateScope, cell: CellScope): PolicyStatement[] => [
  readItems(state),
  // Operations that delete has overtaken are closed.
  listItems(state),
  writeItems(state),
  changePlaces(state),
  deleteItems(state),
  describeTasks(cell),
  listTasks(cell),
  stopTasks(cell),
  listAddresses(),
  removeAddresses(cell),
  deleteNames(cell),
  changeRecords(cell),
  findZone(),
  listDisks(),
  ...removeDisks(cell),
  sendLooks([cell]),
];
