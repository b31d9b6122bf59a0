/** Works on all items, `size` at once, also on those that are added to `queue` meanwhile. */
export async function inPool<T>(queue: T[], size: number, work: (item: T) => Promise<void>): Promise<void> {
  let running = 0;
  await new Promise<void>((resolve, reject) => {
    const next = () => {
      if (queue.length === 0 && running === 0) resolve();
      while (running < size && queue.length > 0) {
        running += 1;
        work(queue.shift()!).then(() => {
          running -= 1;
          next();
        }, reject);
      }
    };
    next();
  });
}
