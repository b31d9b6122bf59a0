import { numbered, type QueryInput, queryService } from '../../aws/query-protocol.ts';
import { type Authorization, AwsError, type CloudContext, type ServiceModule } from '../../aws/service.ts';
import { document, element, type Xml } from '../../aws/xml.ts';
import type { Disks } from '../ecs/disks.ts';
import type { SnapshotRecord, VolumeRecord } from '../ecs/model.ts';
import type { TagList } from '../ecs/requests.ts';
import { byFilters, page } from './filters.ts';

const namespace = 'http://ec2.amazonaws.com/doc/2016-11-15/';

export interface Ec2Deps {
  readonly disks: Disks;
}

type Context = Pick<CloudContext, 'accountId' | 'region'>;

/** The part of EC2 that is about the volumes of tasks, after they are gone too, and their snapshots. */
export function createEc2(context: Context, { disks }: Ec2Deps): ServiceModule {
  const arns = arnsOf(context);
  const tagsOf = (records: readonly { readonly tags: TagList }[]): Record<string, string> =>
    Object.fromEntries(
      (records[0]?.tags ?? []).flatMap(({ key, value }) => [
        [`aws:ResourceTag/${key}`, value],
        [`ec2:ResourceTag/${key}`, value],
      ]),
    );
  const onVolume = (action: string, volumeId: string): Authorization => ({
    action,
    resource: arns.volume(volumeId),
    context: tagsOf(disks.volumes().filter((volume) => volume.volumeId === volumeId)),
  });
  const onSnapshot = (action: string, snapshotId: string): Authorization => ({
    action,
    resource: arns.snapshot(snapshotId),
    context: tagsOf(disks.snapshots().filter((snapshot) => snapshot.snapshotId === snapshotId)),
  });
  const volumeView = (volume: VolumeRecord): Xml => ({
    volumeId: volume.volumeId,
    size: volume.sizeInGiB,
    snapshotId: volume.snapshotId,
    availabilityZone: volume.zone,
    status: volume.state,
    createTime: new Date(volume.createdAt).toISOString(),
    volumeType: volume.volumeType,
    encrypted: volume.encrypted,
    tagSet: tagSet(volume.tags),
  });
  const snapshotView = (snapshot: SnapshotRecord) => ({
    snapshotId: snapshot.snapshotId,
    volumeId: snapshot.volumeId,
    status: snapshot.state,
    startTime: new Date(snapshot.startedAt).toISOString(),
    progress: snapshot.state === 'completed' ? '100%' : '0%',
    ownerId: context.accountId,
    volumeSize: snapshot.sizeInGiB,
    description: snapshot.description,
    encrypted: true,
    tagSet: tagSet(snapshot.tags),
  });

  const service = queryService({
    name: 'ec2',
    operations: {
      DescribeVolumes: {
        authorize: () => [{ action: 'ec2:DescribeVolumes', resource: '*' }],
        run(input) {
          only(input, /^(Filter\.|VolumeId\.|MaxResults$|NextToken$)/);
          const ids = numbered(input, 'VolumeId');
          const found = byFilters(disks.volumes(), input, {
            'volume-id': (volume) => volume.volumeId,
            status: (volume) => volume.state,
            'availability-zone': (volume) => volume.zone,
          }).filter(({ volumeId }) => ids.length === 0 || ids.includes(volumeId));
          const missing = ids.find((id) => !disks.volumes().some(({ volumeId }) => volumeId === id));
          if (missing !== undefined) throw notFound('Volume', missing);
          const { items, nextToken } = page(found, ({ volumeId }) => volumeId, input);
          return { volumeSet: { item: items.map(volumeView) }, nextToken };
        },
      },
      CreateSnapshot: {
        authorize(input) {
          const tags = newTags(input);
          const requested = {
            ...Object.fromEntries(tags.map(({ key, value }) => [`aws:RequestTag/${key}`, value])),
            ...(tags.length > 0 ? { 'aws:TagKeys': tags.map(({ key }) => key) } : {}),
          };
          const resource = arns.snapshot('*');
          return [
            onVolume('ec2:CreateSnapshot', input.VolumeId ?? ''),
            { action: 'ec2:CreateSnapshot', resource, context: requested },
            ...(tags.length > 0
              ? [
                  {
                    action: 'ec2:CreateTags',
                    resource,
                    context: { ...requested, 'ec2:CreateAction': 'CreateSnapshot' },
                  },
                ]
              : []),
          ];
        },
        run(input) {
          only(input, /^(VolumeId$|Description$|TagSpecification\.1\.)/);
          return snapshotView(disks.snapshot(input.VolumeId ?? '', input.Description ?? '', newTags(input)));
        },
      },
      DescribeSnapshots: {
        authorize: () => [{ action: 'ec2:DescribeSnapshots', resource: '*' }],
        run(input) {
          only(input, /^(Filter\.|SnapshotId\.|Owner\.|MaxResults$|NextToken$)/);
          const ids = numbered(input, 'SnapshotId');
          const found = byFilters(disks.snapshots(), input, {
            'snapshot-id': (snapshot) => snapshot.snapshotId,
            'volume-id': (snapshot) => snapshot.volumeId,
            status: (snapshot) => snapshot.state,
          }).filter(({ snapshotId }) => ids.length === 0 || ids.includes(snapshotId));
          const missing = ids.find((id) => !disks.snapshots().some(({ snapshotId }) => snapshotId === id));
          if (missing !== undefined) throw notFound('Snapshot', missing);
          const { items, nextToken } = page(found, ({ snapshotId }) => snapshotId, input);
          return { snapshotSet: { item: items.map(snapshotView) }, nextToken };
        },
      },
      DeleteVolume: {
        authorize: ({ VolumeId = '' }) => [onVolume('ec2:DeleteVolume', VolumeId)],
        async run({ VolumeId = '' }) {
          await disks.removeVolume(VolumeId);
          return { return: true };
        },
      },
      DeleteSnapshot: {
        authorize: ({ SnapshotId = '' }) => [onSnapshot('ec2:DeleteSnapshot', SnapshotId)],
        async run({ SnapshotId = '' }) {
          await disks.removeSnapshot(SnapshotId);
          return { return: true };
        },
      },
    },
    render: (operation, content) =>
      document(`${operation}Response`, { requestId: 'local', ...(content as object) }, namespace),
    renderError: ({ code, message }) =>
      element('Response', { Errors: { Error: { Code: code, Message: message } }, RequestID: 'local' }),
  });
  return { services: [service], providers: [], stop: () => disks.settle() };
}

const arnsOf = ({ accountId, region }: Context) => ({
  volume: (id: string) => `arn:aws:ec2:${region}:${accountId}:volume/${id}`,
  // Snapshots can be shared: their ARNs name no account.
  snapshot: (id: string) => `arn:aws:ec2:${region}::snapshot/${id}`,
});

const tagSet = (tags: TagList): Xml => ({ item: tags.map(({ key, value }) => ({ key, value })) });

const notFound = (what: 'Volume' | 'Snapshot', id: string): AwsError =>
  new AwsError(`Invalid${what}.NotFound`, `The ${what.toLowerCase()} '${id}' does not exist.`);

function newTags(input: QueryInput): TagList {
  const prefix = 'TagSpecification.1.Tag';
  const tags: TagList = [];
  for (let index = 1; input[`${prefix}.${index}.Key`] !== undefined; index += 1) {
    tags.push({ key: input[`${prefix}.${index}.Key`]!, value: input[`${prefix}.${index}.Value`] ?? '' });
  }
  return tags;
}

/** What this cloud would not honour is refused. */
function only(input: QueryInput, known: RegExp): void {
  const unknown = Object.keys(input).find((name) => name !== 'Version' && !known.test(name));
  if (unknown === undefined) return;
  throw new AwsError('UnknownParameter', `The local cloud does not know the parameter ${unknown}.`);
}
