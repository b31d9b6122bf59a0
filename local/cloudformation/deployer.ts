import { AwsError, type Provisioned } from '../aws/service.ts';
import { readAssembly, type StackTemplate } from './assembly.ts';
import { CustomResourceError } from './custom-resources.ts';
import { resolve } from './intrinsics.ts';
import { inOrder, stackScope } from './provision.ts';
import { deployableTypes, isDeployable, isSame, type ResourceHand, type Wanted } from './resource-hand.ts';
import type { Stack, StackResource, StackStore } from './stack-state.ts';

export interface DeployerOptions {
  readonly accountId: string;
  readonly region: string;
  readonly store: StackStore;
  readonly hand: ResourceHand;
  /** Of the cloud's own stacks, which may be referred to. */
  readonly outputs: ReadonlyMap<string, ReadonlyMap<string, unknown>>;
  readonly exports: ReadonlyMap<string, unknown>;
  /** Where functions find their code by object key. */
  readonly assets: Map<string, string>;
  readonly now: () => Date;
}

/** One change of one resource in a deployment. */
interface Touch {
  readonly before?: StackResource;
  now: StackResource;
}

/**
 * Deploys further apps to a running cloud, one stack at a time, in CloudFormation's order: make and change, then clean up
 * what was replaced or has left the template; on failure back to the former properties, and what was made goes again.
 */
export class Deployer {
  readonly #options: DeployerOptions;
  #busy: Promise<unknown> | undefined;

  constructor(options: DeployerOptions) {
    this.#options = options;
  }

  stacks(): Stack[] {
    return Object.values(this.#options.store.stacks);
  }

  /** After a start of the cloud: what stood stands again. Custom resources are where they are. */
  async standUp(): Promise<void> {
    const { store, hand, assets } = this.#options;
    for (const [key, folder] of Object.entries(store.assets())) assets.set(key, folder);
    for (const stack of this.stacks()) {
      if (stack.status.endsWith('_IN_PROGRESS')) {
        this.#note(
          stack,
          { logicalId: stack.name, type: stackType },
          'UPDATE_FAILED',
          'The local cloud was stopped meanwhile.',
        );
        stack.status = 'UPDATE_FAILED';
        store.save();
      }
      for (const resource of stack.resources)
        if (!resource.type.startsWith('Custom::') && resource.type !== 'AWS::CloudFormation::CustomResource')
          await hand.standUp(stack.name, resource);
    }
  }

  /**
   * Begins the deployment of a synthesized app, and comes back at once. @returns the names of its stacks
   * @throws AwsError ValidationError when it cannot be deployed here
   */
  begin(directory: string, only?: string): { names: string[]; end: Promise<void> } {
    this.#requireIdle();
    const { stacks, assets } = read(directory);
    const chosen = only === undefined ? stacks : stacks.filter(({ name }) => name === only);
    if (chosen.length === 0)
      throw invalid(
        `${directory} has no stack "${only}": it has ${stacks.map(({ name }) => name).join(', ')}.`,
      );
    for (const stack of chosen) this.#refuse(stack);
    for (const [key, source] of assets)
      this.#options.assets.set(key, this.#options.store.keepAsset(key, source));
    const end = this.#alone(async () => {
      for (const stack of chosen) await this.#deploy(stack);
    });
    return { names: chosen.map(({ name }) => name), end };
  }

  /** @throws AwsError when there is no such stack */
  beginDestroy(name: string): { end: Promise<void> } {
    this.#requireIdle();
    const stack = this.#options.store.stacks[name];
    if (!stack || stack.status === 'DELETE_COMPLETE') {
      const names = this.stacks().filter(({ status }) => status !== 'DELETE_COMPLETE');
      throw invalid(
        `There is no stack "${name}" that was deployed to this cloud${names.length > 0 ? `: there are ${names.map((one) => one.name).join(', ')}` : ''}.`,
      );
    }
    return { end: this.#alone(() => this.#destroy(stack)) };
  }

  async #deploy({ name, template }: StackTemplate): Promise<void> {
    const { store } = this.#options;
    const known = store.stacks[name];
    const former = known !== undefined && known.resources.length > 0 ? known : undefined;
    const word = former ? 'UPDATE' : 'CREATE';
    const stack: Stack = {
      name,
      status: `${word}_IN_PROGRESS`,
      resources: [...(former?.resources ?? [])],
      outputs: former?.outputs ?? {},
      events: [],
    };
    store.stacks[name] = stack;
    this.#end(stack, `${word}_IN_PROGRESS`);
    const touched: Touch[] = [];
    try {
      const { resources, outputs } = await this.#bringAll(stack, template, former, touched);
      if (former) await this.#cleanUp(stack, former, resources, touched);
      stack.resources = resources;
      stack.outputs = outputs;
      this.#end(stack, `${word}_COMPLETE`);
    } catch (error) {
      const reason = messageOf(error);
      if (!former) {
        this.#end(stack, 'ROLLBACK_IN_PROGRESS', reason);
        const left = await this.#takeAway(stack, touched.map(({ now }) => now).toReversed(), 'onCreate');
        stack.resources = left;
        this.#end(stack, left.length === 0 ? 'ROLLBACK_COMPLETE' : 'ROLLBACK_FAILED', reason);
      } else await this.#rollBack(stack, former, touched, reason);
      throw new AwsError('DeploymentFailed', `Stack ${name}: ${reason} Its status is ${stack.status}.`);
    }
  }

  async #bringAll(
    stack: Stack,
    template: StackTemplate['template'],
    former: Stack | undefined,
    touched: Touch[],
  ) {
    const done = new Map<string, Provisioned>();
    const outputsOf = new Map<string, ReadonlyMap<string, unknown>>(this.#options.outputs);
    for (const other of this.stacks()) outputsOf.set(other.name, new Map(Object.entries(other.outputs)));
    const source = { name: stack.name, template };
    const scope = stackScope(this.#options, source, done, this.#options.exports, outputsOf);
    const resources: StackResource[] = [];
    for (const logicalId of inOrder(source, scope)) {
      const raw = template.Resources[logicalId];
      const before = former?.resources.find((one) => one.logicalId === logicalId && one.type === raw.Type);
      let now: StackResource;
      try {
        const wanted: Wanted = {
          logicalId,
          type: raw.Type,
          properties: resolve(raw.Properties ?? {}, scope),
          deletionPolicy: raw.DeletionPolicy,
          updateReplacePolicy: raw.UpdateReplacePolicy,
          metadata: raw.Metadata,
        };
        if (before && isSame(before, wanted)) now = { ...before, ...policiesOf(wanted) };
        else now = await this.#bring(stack, wanted, before, touched);
      } catch (error) {
        this.#note(
          stack,
          { logicalId, type: raw.Type },
          `${before ? 'UPDATE' : 'CREATE'}_FAILED`,
          messageOf(error),
        );
        throw new Error(`${raw.Type} ${logicalId}: ${messageOf(error)}`, { cause: error });
      }
      resources.push(now);
      done.set(logicalId, now);
      stack.resources = [...resources, ...rest(former, resources)];
      this.#options.store.save();
    }
    const outputs = Object.entries(
      (template.Outputs ?? {}) as Record<string, { Value: unknown; Condition?: string }>,
    )
      .filter(([, { Condition }]) => Condition === undefined || scope.condition(Condition))
      .map(([name, { Value }]) => [name, resolve(Value, scope)] as const);
    return { resources, outputs: Object.fromEntries(outputs) };
  }

  /** What has begun counts as touched, also when it fails: it may have had effects. */
  async #bring(stack: Stack, wanted: Wanted, before: StackResource | undefined, touched: Touch[]) {
    const word = before ? 'UPDATE' : 'CREATE';
    this.#note(stack, wanted, `${word}_IN_PROGRESS`);
    try {
      const now = await this.#options.hand.bring(stack.name, wanted, before);
      touched.push({ ...(before ? { before } : {}), now });
      this.#note(stack, wanted, `${word}_COMPLETE`);
      return now;
    } catch (error) {
      const ref = error instanceof CustomResourceError ? (error.physicalId ?? before?.ref) : before?.ref;
      if (ref !== undefined)
        touched.push({
          ...(before ? { before } : {}),
          now: { ...wanted, ref, attributes: before?.attributes ?? {} },
        });
      throw error;
    }
  }

  /** Replaced and left resources go last, when nothing refers to them any more. What cannot go is told and left. */
  async #cleanUp(
    stack: Stack,
    former: Stack,
    resources: readonly StackResource[],
    touched: readonly Touch[],
  ) {
    this.#end(stack, 'UPDATE_COMPLETE_CLEANUP_IN_PROGRESS');
    const replaced = touched.flatMap(({ before, now }) => (before && before.ref !== now.ref ? [before] : []));
    const left = former.resources.filter(
      (old) => !resources.some((one) => one.logicalId === old.logicalId && one.type === old.type),
    );
    await this.#takeAway(stack, replaced.toReversed(), 'onReplace');
    await this.#takeAway(stack, left.toReversed(), 'onDelete');
  }

  async #rollBack(stack: Stack, former: Stack, touched: readonly Touch[], reason: string): Promise<void> {
    this.#end(stack, 'UPDATE_ROLLBACK_IN_PROGRESS', reason);
    const restored = new Map(former.resources.map((one) => [one.logicalId, one]));
    const toGo: StackResource[] = [];
    let failure: string | undefined;
    for (const { before, now } of touched) {
      if (!before) {
        toGo.push(now);
        continue;
      }
      try {
        this.#note(stack, before, 'UPDATE_IN_PROGRESS');
        const back = await this.#options.hand.bring(stack.name, before, now);
        restored.set(before.logicalId, back);
        if (back.ref !== now.ref) toGo.push(now);
        this.#note(stack, before, 'UPDATE_COMPLETE');
      } catch (error) {
        failure ??= messageOf(error);
        this.#note(stack, before, 'UPDATE_FAILED', messageOf(error));
      }
    }
    await this.#takeAway(stack, toGo.toReversed(), 'onReplace');
    stack.resources = [...restored.values()];
    stack.outputs = former.outputs;
    this.#end(
      stack,
      failure === undefined ? 'UPDATE_ROLLBACK_COMPLETE' : 'UPDATE_ROLLBACK_FAILED',
      failure ?? reason,
    );
  }

  async #destroy(stack: Stack): Promise<void> {
    stack.events = [];
    this.#end(stack, 'DELETE_IN_PROGRESS');
    const all = stack.resources.toReversed();
    const left = await this.#takeAway(stack, all, 'onDelete', true);
    stack.resources = left.toReversed();
    if (left.length > 0) {
      const reason = stack.events.findLast(({ status }) => status === 'DELETE_FAILED')?.reason ?? '';
      this.#end(stack, 'DELETE_FAILED', reason);
      throw new AwsError('DeletionFailed', `Stack ${stack.name} was not deleted: ${reason}`);
    }
    stack.outputs = {};
    this.#end(stack, 'DELETE_COMPLETE');
  }

  /** @returns what could not go; with `stopAtFailure` also all that comes after it */
  async #takeAway(
    stack: Stack,
    resources: readonly StackResource[],
    why: 'onCreate' | 'onReplace' | 'onDelete',
    stopAtFailure = false,
  ): Promise<StackResource[]> {
    const left: StackResource[] = [];
    for (const [index, resource] of resources.entries()) {
      const policy = why === 'onReplace' ? resource.updateReplacePolicy : resource.deletionPolicy;
      if (policy === 'Retain' || (policy === 'RetainExceptOnCreate' && why !== 'onCreate')) {
        this.#note(stack, resource, 'DELETE_SKIPPED');
        continue;
      }
      try {
        this.#note(stack, resource, 'DELETE_IN_PROGRESS');
        await this.#options.hand.remove(stack.name, resource);
        this.#note(stack, resource, 'DELETE_COMPLETE');
      } catch (error) {
        this.#note(stack, resource, 'DELETE_FAILED', messageOf(error));
        left.push(resource);
        if (stopAtFailure) return [...left, ...resources.slice(index + 1)];
      }
    }
    return left;
  }

  #refuse({ name, template }: StackTemplate): void {
    if (this.#options.outputs.has(name))
      throw invalid(`"${name}" is a stack of the local cloud itself: it is deployed at every start.`);
    const unknown = Object.entries((template.Resources ?? {}) as Record<string, { Type: string }>)
      .filter(([, { Type }]) => !isDeployable(Type))
      .map(([logicalId, { Type }]) => `${Type} (${logicalId})`);
    if (unknown.length > 0)
      throw invalid(
        `Stack "${name}" has resources that the local cloud cannot deploy: ${unknown.join(', ')}. It knows ${deployableTypes.join(', ')}.`,
      );
  }

  #requireIdle(): void {
    if (this.#busy) throw invalid('A deployment is under way: wait for it, stacks go one at a time.');
  }

  #alone(work: () => Promise<void>): Promise<void> {
    const end = work().finally(() => {
      this.#busy = undefined;
    });
    this.#busy = end;
    // Its failure is in the events of the stack; who waits for `end` hears of it too.
    end.catch(() => {});
    return end;
  }

  #note(
    stack: Stack,
    { logicalId, type }: { logicalId: string; type: string },
    status: string,
    reason?: string,
  ): void {
    const at = this.#options.now().toISOString();
    stack.events.push({ at, logicalId, type, status, ...(reason === undefined ? {} : { reason }) });
  }

  #end(stack: Stack, status: string, reason?: string): void {
    stack.status = status;
    this.#note(stack, { logicalId: stack.name, type: stackType }, status, reason);
    this.#options.store.save();
  }
}

const stackType = 'AWS::CloudFormation::Stack';

const policiesOf = ({ deletionPolicy, updateReplacePolicy }: Wanted) => ({
  deletionPolicy,
  updateReplacePolicy,
});

/** What the former stack has and the deployment has not come to yet. */
const rest = (former: Stack | undefined, done: readonly StackResource[]): StackResource[] =>
  (former?.resources ?? []).filter((old) => !done.some(({ logicalId }) => logicalId === old.logicalId));

function read(directory: string) {
  try {
    return readAssembly(directory);
  } catch (error) {
    throw invalid(`${messageOf(error)} Synthesize the app first: npx cdk synth.`);
  }
}

const invalid = (message: string): AwsError => new AwsError('ValidationError', message);

const messageOf = (error: unknown): string =>
  error instanceof AwsError
    ? `${error.code}: ${error.message}`
    : error instanceof Error
      ? error.message
      : String(error);
