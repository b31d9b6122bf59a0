import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = new URL('..', import.meta.url).pathname;
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs')).map((file) => `docs/${file}`),
].filter((file) => file.endsWith('.md'));

/** `core/safety*.ts` → whether anything fits; paths in lambdas/ may leave that away. */
function exists(path: string): boolean {
  return [path, `lambdas/${path}`].some((candidate) => {
    if (!candidate.includes('*')) return existsSync(join(root, candidate));
    const [folder, pattern] = [
      candidate.slice(0, candidate.lastIndexOf('/')),
      candidate.slice(candidate.lastIndexOf('/') + 1),
    ];
    if (folder.includes('*')) return true;
    const [begin = '', end = ''] = pattern.split('*');
    return (
      existsSync(join(root, folder)) &&
      readdirSync(join(root, folder)).some((file) => file.startsWith(begin) && file.endsWith(end))
    );
  });
}

describe('the documentation', () => {
  it.each(pages)('%s links to pages that are there', (page) => {
    const text = readFileSync(join(root, page), 'utf8');
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, link]) => link!);
    const missing = links.filter((link) => !existsSync(join(root, page, '..', link)));
    expect(missing).toEqual([]);
  });

  it('names, as proof of each security claim, tests that are there', () => {
    const text = readFileSync(join(root, 'docs/security.md'), 'utf8');
    const files = [...text.matchAll(/`(test\/[\w/.*-]+|lib\/[\w/.*-]+|core\/[\w/.*-]+)`/g)].map(
      ([, path]) => path!,
    );
    const topics = [...text.matchAll(/`e2e ([a-z-]+)`/g)].map(([, topic]) => `test/e2e/${topic}.e2e.test.ts`);
    expect(files.length + topics.length).toBeGreaterThan(20);
    expect([...files, ...topics].filter((path) => !exists(path))).toEqual([]);
  });

  it('names, for each limit, code that is there', () => {
    const text = readFileSync(join(root, 'docs/limits.md'), 'utf8');
    const files = [...text.matchAll(/`((?:core|api|sweep|lib|test)\/[\w/.*-]+)`/g)].map(([, path]) => path!);
    expect(files.length).toBeGreaterThan(10);
    expect(files.filter((path) => !exists(path))).toEqual([]);
  });
});
