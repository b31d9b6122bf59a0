import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** One archive of the machine's own apt configuration. */
export interface AptArchive {
  /** Without a trailing slash. */
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** Keyring files that must have signed it; empty: the machine's trusted keys. */
  readonly signedBy: readonly string[];
}

/** All enabled `deb` archives of etc/apt, from one-line and deb822 files. Files that apt would skip are skipped. */
export async function readAptArchives(root: string): Promise<AptArchive[]> {
  const folder = join(root, 'etc/apt');
  const parts = (await readdir(join(folder, 'sources.list.d')).catch(() => [])).sort();
  const archives = parseOneLine(await readText(join(folder, 'sources.list')));
  for (const name of parts) {
    const text = await readText(join(folder, 'sources.list.d', name));
    if (name.endsWith('.sources')) archives.push(...parseDeb822Sources(text));
    else if (name.endsWith('.list')) archives.push(...parseOneLine(text));
  }
  return archives;
}

/** `deb [arch=amd64 signed-by=/a.gpg] uri suite component…` (sources.list(5)). */
export function parseOneLine(text: string): AptArchive[] {
  const archives: AptArchive[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.replace(/#.*$/, '').trim();
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+\S+)*)$/.exec(line);
    if (!match) continue;
    const [, options = '', uri, suite, components = ''] = match;
    const signedBy = words(options).find((option) => option.startsWith('signed-by='));
    archives.push({
      uri: withoutSlash(uri!),
      suites: [suite!],
      components: words(components),
      signedBy: signedBy ? signedBy.slice('signed-by='.length).split(',').filter(isKeyFile) : [],
    });
  }
  return archives;
}

/** Stanzas of `Types:`, `URIs:`, `Suites:`, `Components:`, `Signed-By:` (sources.list(5), deb822 style). */
export function parseDeb822Sources(text: string): AptArchive[] {
  return parseDeb822(text).flatMap((stanza) => {
    if (!words(stanza.types ?? '').includes('deb')) return [];
    if (/^(no|false|without|off|disable)$/i.test(stanza.enabled ?? '')) return [];
    return words(stanza.uris ?? '').map((uri) => ({
      uri: withoutSlash(uri),
      suites: words(stanza.suites ?? ''),
      components: words(stanza.components ?? ''),
      // A key may also stand here in full (armored): then there is no file to hand to gpgv.
      signedBy: words(stanza['signed-by'] ?? '').filter(isKeyFile),
    }));
  });
}

/** Paragraphs of `Field: value`; continuation lines start with a blank, comment lines with `#`. Names in lower case. */
export function parseDeb822(text: string): Record<string, string>[] {
  const stanzas: Record<string, string>[] = [];
  let current: Record<string, string> = {};
  let field = '';
  for (const line of `${text}\n\n`.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    if (line.trim() === '') {
      if (Object.keys(current).length > 0) stanzas.push(current);
      current = {};
      field = '';
    } else if (/^\s/.test(line)) {
      if (field !== '') current[field] += `\n${line.trim()}`;
    } else {
      const colon = line.indexOf(':');
      if (colon <= 0) continue;
      field = line.slice(0, colon).trim().toLowerCase();
      current[field] = line.slice(colon + 1).trim();
    }
  }
  return stanzas;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

function isKeyFile(word: string): boolean {
  return word.startsWith('/');
}

function withoutSlash(uri: string): string {
  return uri.replace(/\/+$/, '');
}

function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
