import { containerCredentials, storageCredentials } from './credentials.ts';
import { type NannyEnv, parseEnv } from './env.ts';
import { createJoinClient } from './join-client.ts';
import { createLog, sentence } from './log.ts';
import type { RunningMember } from './member.ts';
import { readTaskIdentity, type TaskIdentity } from './metadata.ts';
import { S3Client } from './s3/client.ts';
import { backOffMs, realTiming as timing } from './timing.ts';

/** Exit codes: 0 stopped or left, 1 a fault (ECS starts the container again), 2 an environment that cannot work. */
const exitCodes = { done: 0, fault: 1, wrongEnvironment: 2 };
const metadataTries = 10;
/** Of our environment etcd gets these only: it reads ETCD_* as flags, and our credentials are none of its business. */
const passedToEtcd = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'GOMAXPROCS', 'GOMEMLIMIT', 'GOGC'];

const writeLog = (line: string) => process.stdout.write(line);
const log = createLog(writeLog, timing.now);
const stopping = new AbortController();
let killEtcd: () => void = () => undefined;

async function identify(metadataUri: string): Promise<TaskIdentity> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await readTaskIdentity(metadataUri);
    } catch (error) {
      if (attempt + 1 >= metadataTries || stopping.signal.aborted) throw error;
      await timing.sleep(backOffMs(attempt, timing, { firstMs: 200, maxMs: 3_000 }), stopping.signal);
    }
  }
}

async function main(env: NannyEnv): Promise<void> {
  const credentials = containerCredentials(env.credentials, timing.now);
  // Asked for beside the identity; who needs them asks again when this fails.
  credentials().catch(() => undefined);
  const { taskArn, ip } = await identify(env.metadataUri);
  log.info('Nanny started', { tenant: env.tenantId, member: env.memberName, taskArn, ip });
  const { region, s3Endpoint: endpoint } = env;
  const client = createJoinClient({ baseUrl: env.joinUrl, region, credentials, ip, now: timing.now });
  const who = { tenantId: env.tenantId, memberName: env.memberName };
  const forStore = storageCredentials(() => client.storage(who), timing.now);
  const options = {
    env,
    ip,
    client,
    s3: new S3Client({ region, endpoint, credentials: forStore, timing }),
    etcdEnvironment: Object.fromEntries(passedToEtcd.map((name) => [name, process.env[name]])),
    writeLog,
    log,
    timing,
    stop: stopping.signal,
  };
  if (env.works) {
    const onScratch = (scratch: { kill(): void }) => {
      killEtcd = () => scratch.kill();
    };
    const { runWorker } = await import('./work/worker.ts');
    await runWorker({ ...options, onScratch });
  } else {
    const onMember = (member: RunningMember) => {
      killEtcd = () => member.killEtcd();
    };
    const { runNanny } = await import('./nanny.ts');
    await runNanny({ ...options, onMember });
  }
}

function end(message: string, code: number): never {
  log.error(message);
  process.exit(code);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (!stopping.signal.aborted) log.info(`${signal}: stopping`);
    stopping.abort();
  });
}
process.on('exit', () => killEtcd());
process.on('uncaughtException', (error) => {
  end(`The nanny met a fault of its own and starts again: ${sentence(error)}`, exitCodes.fault);
});

let env: NannyEnv;
try {
  env = parseEnv(process.env);
} catch (error) {
  end(sentence(error), exitCodes.wrongEnvironment);
}
try {
  await main(env);
} catch (error) {
  end(sentence(error), stopping.signal.aborted ? exitCodes.done : exitCodes.fault);
}
log.info('Nanny stopped');
process.exit(exitCodes.done);
