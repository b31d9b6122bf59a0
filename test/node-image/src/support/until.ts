/** Waits for a condition, with a deadline; says what it waited for when it fails. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (let last: unknown; ; ) {
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      const shown = last instanceof Error ? last.message : String(last);
      throw new Error(`Waited ${timeoutMs} ms in vain for: ${what} (last: ${shown})`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
