/**
 * Node 24 aborts the whole process when a thread is ended while a key is being generated for it ("Assertion failed:
 * try_catch.CanContinue()", crypto_keygen.h). So a worker counts its key generations in shared memory, and whoever
 * ends it first shuts this gate: no further one begins, and the last one under way (a millisecond) is waited for.
 * Must import nothing of the project: the worker's half shares the thread with the function.
 */
const underWay = 0;
const shut = 1;

export function newKeyGate(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
}

/** In the worker: every key generation of this thread passes the gate from now on. Behind a shut gate none returns. */
export function passThroughGate(gate: Int32Array): void {
  const prototype = Object.getPrototypeOf(globalThis.crypto.subtle) as {
    generateKey: (...input: unknown[]) => Promise<unknown>;
  };
  const { generateKey } = prototype;
  const leave = (): void => {
    Atomics.sub(gate, underWay, 1);
    Atomics.notify(gate, underWay);
  };
  prototype.generateKey = async function (...input) {
    Atomics.add(gate, underWay, 1);
    if (Atomics.load(gate, shut) === 1) {
      leave();
      return new Promise<never>(() => {});
    }
    try {
      return await generateKey.apply(this, input);
    } finally {
      leave();
    }
  };
}

/** Outside: shuts the gate. Undefined when nothing is under way, so that the worker can be ended in the same moment. */
export function shutGate(gate: Int32Array): Promise<void> | undefined {
  Atomics.store(gate, shut, 1);
  return Atomics.load(gate, underWay) === 0 ? undefined : empty(gate);
}

async function empty(gate: Int32Array): Promise<void> {
  for (let count = Atomics.load(gate, underWay); count > 0; count = Atomics.load(gate, underWay)) {
    await Atomics.waitAsync(gate, underWay, count).value;
  }
}
