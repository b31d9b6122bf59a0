import { invalidParameter } from './requests.ts';

/** Memory (MiB: from, to, step) that Fargate offers per cpu (1/1024 vCPU); 256 has no even step. */
const memoryByCpu: Readonly<Record<number, readonly [number, number, number]>> = {
  512: [1024, 4096, 1024],
  1024: [2048, 8192, 1024],
  2048: [4096, 16_384, 1024],
  4096: [8192, 30_720, 1024],
  8192: [16_384, 61_440, 4096],
  16384: [32_768, 122_880, 8192],
};

function units(text: string, unit: string): number {
  const match = new RegExp(`^\\s*([0-9.]+)\\s*(${unit})?\\s*$`, 'i').exec(text);
  return match ? Number(match[1]) * (match[2] ? 1024 : 1) : Number.NaN;
}

/**
 * Size of a Fargate task as ECS shows it: cpu in 1/1024 vCPU, memory in MiB, both as text (`1 vCPU`, `2 GB` are read too).
 * @throws AwsError when Fargate does not offer the pair
 */
export function fargateSize(cpuText: string, memoryText: string): { cpu: string; memory: string } {
  const cpu = units(cpuText, 'vCPU');
  const memory = units(memoryText, 'GB');
  const range = memoryByCpu[cpu];
  const offered =
    cpu === 256
      ? [512, 1024, 2048].includes(memory)
      : range !== undefined &&
        memory >= range[0] &&
        memory <= range[1] &&
        (memory - range[0]) % range[2] === 0;
  if (!offered)
    throw invalidParameter(
      `No Fargate configuration exists for given values: ${cpuText} CPU, ${memoryText} memory. ` +
        'See the Amazon ECS documentation for the valid values.',
    );
  return { cpu: String(cpu), memory: String(memory) };
}
