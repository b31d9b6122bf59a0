import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createEngine, type Engine } from '../../../../../local/services/ecs/docker/engine.ts';

/** An engine's socket that answers what the test says. */
let server: Server;
let folder: string;
let engine: Engine;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'nanny-engine-'));
  const socket = path.join(folder, 'docker.sock');
  server = createServer((request, response) => answer(request, response));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  engine = createEngine(socket);
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

const json = (status: number, body?: unknown) => {
  answer = (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  };
};

test("a refusal has the engine's own words", async () => {
  json(409, { message: 'Conflict. The container name "/x" is already in use' });
  await expect(engine.create({ name: 'x', body: {} })).rejects.toThrow(/name "\/x" is already in use/);
});

test('what has ended already can be killed, paused and removed without harm', async () => {
  json(409, { message: 'is not running' });
  await engine.kill('c', 'SIGTERM');
  await engine.pause('c', false);
  json(404, { message: 'No such container' });
  expect(await engine.remove('c')).toBe(false);
  json(204);
  expect(await engine.remove('c')).toBe(true);
});

test('an image that is not there is undefined, one without labels has none', async () => {
  json(404, { message: 'No such image' });
  expect(await engine.image('a/b:c')).toBeUndefined();
  json(200, { Config: { Labels: null } });
  expect(await engine.image('a/b:c')).toEqual({ labels: {} });
});

test('what a container prints comes without the frames, however it is cut into pieces', async () => {
  const frame = (text: string) => {
    const head = Buffer.alloc(8);
    head[0] = 1;
    head.writeUInt32BE(Buffer.byteLength(text), 4);
    return Buffer.concat([head, Buffer.from(text)]);
  };
  const all = Buffer.concat([frame('first\n'), frame('second\n')]);
  answer = async (_request, response) => {
    for (const byte of all) response.write(Buffer.of(byte));
    response.end();
  };
  const pieces: Buffer[] = [];
  for await (const piece of await engine.logs('c')) pieces.push(piece);
  expect(Buffer.concat(pieces).toString()).toBe('first\nsecond\n');
});
