import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { addAddresses, changeRecords, findZone, listAddresses, removeAddresses } from './names.ts';
import type { CellScope, StateScope } from './scope.ts';
import {
  decryptFor,
  describeTasks,
  listDue,
  listItems,
  listTasks,
  passInfrastructureRole,
  passTaskRoles,
  readItems,
  runTasks,
  sendLooks,
  stopTasks,
  tagNewTasks,
  writeItems,
} from './statements.ts';

/** Tasks of members: started with their roles, watched, stopped. */
export const workOnTasks = (cell: CellScope): PolicyStatement[] => [
  runTasks(cell),
  tagNewTasks(cell),
  passTaskRoles(cell),
  passInfrastructureRole(cell),
  describeTasks(cell),
  listTasks(cell),
  stopTasks(cell),
];

/** Members of a cluster that has formed, one in or out at a time: tasks, addresses, and the key to their nannies. */
export const workOnMembers = (state: StateScope, cell: CellScope): PolicyStatement[] => [
  readItems(state),
  writeItems(state),
  // Rule S8 counts the sick tenants of the cell before a member is taken out.
  listItems(state),
  listDue(state),
  decryptFor(state, 'control-plane'),
  ...workOnTasks(cell),
  listAddresses(),
  addAddresses(cell),
  removeAddresses(cell),
  changeRecords(cell),
  findZone(),
  sendLooks([cell]),
];
