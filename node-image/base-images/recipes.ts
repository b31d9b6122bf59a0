/** What a stand-in is made of. The names are those that the Dockerfile asks for. */
export interface Recipe {
  readonly image: string;
  readonly kind: 'go' | 'node';
  /** `1.26`, `24`: what the name promises. */
  readonly version: string;
  readonly suite: string;
}

/** Marks what was made here, so that it is never taken for the real image; its value tells what it was made of. */
export const standInLabel = 'etcd-nanny.base-image.stand-in';

/** The images behind `FROM` that are not stages of the Dockerfile itself, each once. */
export function baseImages(dockerfile: string): string[] {
  const lines = [...dockerfile.matchAll(/^FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?\s*$/gim)];
  const stages = new Set(lines.map(([, , stage]) => stage).filter((stage) => stage !== undefined));
  return [...new Set(lines.map(([, image]) => image!))].filter((image) => !stages.has(image));
}

/** @throws Error for an image that nothing here can stand in for */
export function recipeOf(image: string): Recipe {
  const [, name, version, suite] = /^(golang|node):(\d+(?:\.\d+)*)-([a-z]+)(?:-slim)?$/.exec(image) ?? [];
  if (name === undefined || version === undefined || suite === undefined)
    throw new Error(
      `${image}: only golang:<version>-<suite> and node:<version>-<suite>[-slim] can be made here.`,
    );
  return { image, kind: name === 'golang' ? 'go' : 'node', version, suite };
}

/** Whether `1.26.8` is what `1.26` promises. */
export const fits = (promised: string, is: string): boolean =>
  is === promised || is.startsWith(`${promised}.`);

/** What to do about an image name, from what the engine holds under it: labels, or undefined when it holds nothing. */
export function decide(
  labels: Readonly<Record<string, string>> | undefined,
  madeOf: string,
): 'make' | 'current' | 'real' {
  if (labels === undefined) return 'make';
  const stamp = labels[standInLabel];
  if (stamp === undefined) return 'real';
  return stamp === madeOf ? 'current' : 'make';
}
