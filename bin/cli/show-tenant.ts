import type { Operation, TimelineEvent } from '../../lambdas/core/model/operation.ts';
import type { MemberDocument, TenantDocument } from '../../lambdas/core/tenant-document.ts';
import { clockTime, plural, relativeTime, shortTime, table } from './format.ts';
import { stepDetail } from './wait.ts';

const healthy = (tenant: TenantDocument): string =>
  `${tenant.members.filter((member) => member.healthy).length}/${tenant.spec.members}`;

export function tenantTable(tenants: readonly TenantDocument[], now: Date): string[] {
  return table(
    ['TENANT', 'PHASE', 'HEALTHY', 'VERSION', 'SIZE', 'CREATED'],
    tenants.map((tenant) => [
      tenant.tenantId,
      tenant.phase,
      healthy(tenant),
      tenant.version,
      tenant.spec.size,
      relativeTime(tenant.createdAt, now),
    ]),
  );
}

function memberState(member: MemberDocument): string {
  if (member.role === 'none') return member.state;
  if (!member.healthy) return `unhealthy${member.problem ? `: ${member.problem}` : ''}`;
  return member.isLeader ? 'healthy, leader' : 'healthy';
}

export function tenantLines(tenant: TenantDocument, now: Date): string[] {
  const { spec } = tenant;
  const compaction =
    spec.autoCompaction.mode === 'off'
      ? 'off'
      : spec.autoCompaction.mode === 'periodic'
        ? `every ${spec.autoCompaction.retentionMinutes} min`
        : `${spec.autoCompaction.retentionRevisions} revisions`;
  const lines = [
    `Tenant      ${tenant.tenantId}`,
    `Phase       ${tenant.phase}${tenant.reason ? ` (${tenant.reason})` : ''}`,
    `Cluster     ${tenant.clusterId ?? 'not formed yet'}, etcd ${tenant.version}`,
    `Spec        ${plural(spec.members, 'member')}, size ${spec.size}, ${spec.storageGiB} GiB ${spec.volume}, quota ${spec.quotaMiB} MiB, compaction ${compaction}`,
    `Protection  ${spec.deletionProtection ? 'cannot be deleted' : 'none'}`,
    `Name        ${tenant.dnsName} (cell ${tenant.cell})`,
    `Created     ${relativeTime(tenant.createdAt, now)}`,
    ...policyLines(tenant, now),
  ];
  if (tenant.operation) {
    const { kind, state, message } = tenant.operation;
    lines.push(`Operation   ${kind}, ${state}${message ? `: ${message}` : ''}`);
  }
  lines.push(...repairLines(tenant, now), ...madeOf(tenant));
  if (tenant.members.length > 0) {
    lines.push(
      '',
      ...table(
        ['MEMBER', 'ZONE', 'CLIENT URL', 'ETCD ID', 'ROLE', 'VERSION', 'STATE'],
        tenant.members.map((member) => [
          member.name,
          member.zone,
          member.clientUrl ?? '-',
          member.etcdId ?? '-',
          member.role,
          member.version ?? '-',
          memberState(member),
        ]),
      ),
    );
  }
  const notable = tenant.conditions;
  if (notable.length > 0) {
    lines.push(
      '',
      ...table(
        ['CONDITION', 'STATUS', 'SINCE', 'MESSAGE'],
        notable.map((condition) => [
          condition.type,
          condition.status,
          relativeTime(condition.since, now),
          condition.message,
        ]),
      ),
    );
  }
  return lines;
}

/** What differs from the usual; who wants all of it asks for --json. */
function policyLines({ spec, paused, sizeAdvice }: TenantDocument, now: Date): string[] {
  const { maintenanceWindow: window, recovery, backup, autoscale } = spec;
  return [
    `Backups     every ${backup.intervalMinutes} min, any second of ${backup.pointInTimeHours} h, proven every ${backup.drillHours} h`,
    ...(recovery === 'approve' ? ['Recovery    only when approved (nanny approve)'] : []),
    ...(window ? [`Window      ${window.days.join(', ')} ${window.start} UTC, ${window.minutes} min`] : []),
    ...(autoscale ? [`Autoscale   ${autoscale.min}..${autoscale.max}`] : []),
    ...(sizeAdvice ? [`Size advice ${sizeAdvice.recommended ?? 'none'}: ${sizeAdvice.reason}`] : []),
    ...(sizeAdvice?.held ? [`            not followed now: ${sizeAdvice.held}`] : []),
    ...(paused
      ? [`Paused      since ${relativeTime(paused.since, now)} by ${paused.by}: ${paused.reason}`]
      : []),
  ];
}

function repairLines({ remediation, tenantId, members }: TenantDocument, now: Date): string[] {
  const asked = members.filter((member) => member.replaceRequested !== null);
  const lines = asked.map((member) => `Replacing   ${member.name}: ${member.replaceRequested}`);
  if (remediation === null) return lines;
  const { kind, since, reason, message } = remediation;
  lines.push(`Repair      ${kind} since ${relativeTime(since, now)}: ${reason}`);
  if (message !== '' && message !== reason) lines.push(`            ${message}`);
  if (remediation.waitsForApproval) {
    lines.push(`            It waits for a person to agree to this loss: nanny approve ${tenantId}`);
  }
  return lines;
}

function madeOf({ spec, members }: TenantDocument): string[] {
  return members.flatMap(({ name, made }) => {
    if (made === null) return [];
    const fields = ['version', 'size', 'storageGiB', 'volume', 'quotaMiB'] as const;
    const old = fields.filter((field) => made[field] !== spec[field]);
    return old.length === 0
      ? []
      : [`Outdated    ${name}: ${old.map((field) => `${field} ${made[field]}`).join(', ')}`];
  });
}

export function operationLines(operations: readonly Operation[], now: Date): string[] {
  return operations.flatMap((operation, index) => [
    ...(index === 0 ? [] : ['']),
    `${operation.kind}  ${operation.state}  ${clockTime(operation.createdAt, now)}  ${took(operation, now)}  ${operation.operationId}`,
    `  ${operation.message}`,
    ...operation.steps.map((step) => {
      const time = step.endedAt ? shortTime(Date.parse(step.endedAt) - Date.parse(step.startedAt)) : '';
      return `  ${step.outcome.padEnd(8)} ${step.name}${stepDetail(step)}${time ? ` (${time})` : ''}`;
    }),
  ]);
}

const took = (operation: Operation, now: Date): string =>
  operation.endedAt
    ? `took ${shortTime(Date.parse(operation.endedAt) - Date.parse(operation.createdAt))}`
    : `for ${shortTime(now.getTime() - Date.parse(operation.createdAt))}`;

/** Oldest first, as one reads. */
export function timelineLines(events: readonly TimelineEvent[], now: Date): string[] {
  const inOrder = [...events].reverse();
  return table(
    ['WHEN', 'WHAT', 'MEMBER', 'MESSAGE'],
    inOrder.map((event) => [
      clockTime(event.at, now),
      event.rule ? `${event.kind} (${event.rule})` : event.kind,
      event.member ?? '-',
      event.message,
    ]),
  );
}
