import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ControlPlaneError } from '../../lambdas/core/errors.ts';

/** @throws ControlPlaneError when the image does not carry this version */
export function findProgram(etcdDir: string, version: string, name: 'etcd' | 'etcdutl'): string {
  const program = join(etcdDir, version, name);
  if (existsSync(program)) return program;
  const there = existsSync(etcdDir) ? readdirSync(etcdDir).join(', ') : 'nothing';
  throw new ControlPlaneError(
    'no-such-version',
    `This node image carries no etcd ${version} (${etcdDir} has: ${there}). Deploy a node image with this version, or give the tenant another.`,
  );
}
