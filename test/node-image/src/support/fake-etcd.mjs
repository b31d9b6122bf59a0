// Plays etcd for the supervisor's tests: node fake-etcd.mjs <directory with script.json>. Each start takes the next
// entry of the script: { lines?, wal?, code?, afterMs? }; after the last one, and without `code`, it runs until killed.
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const directory = process.argv[2];
const starts = join(directory, 'starts');
appendFileSync(starts, `${Date.now()}\n`);
const count = readFileSync(starts, 'utf8').trim().split('\n').length;
const script = JSON.parse(readFileSync(join(directory, 'script.json'), 'utf8'));
const entry = script[count - 1] ?? {};
const wal = join(directory, 'wal');
if (entry.wal !== false && !existsSync(wal)) {
  mkdirSync(wal);
  writeFileSync(join(wal, '0.wal'), '');
}
for (const line of entry.lines ?? []) console.error(line);
if (entry.ready !== false) writeFileSync(join(directory, 'ready'), '');
process.on('exit', () => rmSync(join(directory, 'ready'), { force: true }));
setTimeout(() => {
  if (entry.code === undefined) setInterval(() => undefined, 1000);
  else process.exit(entry.code);
}, entry.afterMs ?? 0);
