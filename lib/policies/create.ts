import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { workOnTasks } from './members.ts';
import { addAddresses, changeRecords, createNames, findZone } from './names.ts';
import type { CellScope, StateScope } from './scope.ts';
import { decryptFor, encryptFor, readItems, sendLooks, writeItems } from './statements.ts';

/** Makes a cluster: keys, tasks, name. It may seal CA keys but not open them again. */
export const createPolicy = (state: StateScope, cell: CellScope): PolicyStatement[] => [
  readItems(state),
  writeItems(state),
  encryptFor(state, 'ca', 'control-plane'),
  decryptFor(state, 'control-plane'),
  ...workOnTasks(cell),
  createNames(cell),
  addAddresses(cell),
  changeRecords(cell),
  findZone(),
  sendLooks([cell]),
];
