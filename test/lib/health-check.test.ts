import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { healthCheckScript } from '../../lib/health-check.ts';

async function exitCode(port: number): Promise<number> {
  const [code] = await once(
    spawn(process.execPath, ['-e', healthCheckScript(port)], { stdio: 'ignore' }),
    'exit',
  );
  return code;
}

it('is healthy while something listens, and unhealthy once nothing does', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await exitCode(port)).toBe(0);
  server.close();
  await once(server, 'close');
  expect(await exitCode(port)).toBe(1);
});
