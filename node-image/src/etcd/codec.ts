/**
 * A protobuf codec for the dozen messages of etcd that we speak (proto3, no maps, no packed fields).
 *
 * Written out rather than taken from a library because the nanny has 80 MB for everything: protobufjs with its
 * reflection costs more memory than all of our own code. Unknown fields are skipped, so the same messages run against
 * every etcd from 3.5 on. 64-bit numbers are decimal strings, ids are lower-case hex strings (uint64 does not fit a
 * JavaScript number).
 */
export interface Field<T> {
  readonly no: number;
  readonly repeated: boolean;
  readonly codec: ValueCodec<T>;
}

interface ValueCodec<T> {
  /** Protobuf wire type: 0 varint, 2 length-delimited. */
  readonly wireType: 0 | 2;
  absent(): unknown;
  // Methods, so that Field<string> is a Field<unknown>: a shape is a record of fields of any type.
  isDefault(value: T): boolean;
  encode(value: T): bigint | Uint8Array;
  decode(raw: bigint | Uint8Array): T;
}

export interface Message<T> {
  encode(value: Partial<T>): Buffer;
  decode(bytes: Uint8Array): T;
}

export type Of<M> = M extends Message<infer T> ? T : never;

const utf8 = new TextDecoder();
const varint = <T>(absent: T, encode: (v: T) => bigint, decode: (raw: bigint) => T): ValueCodec<T> => ({
  wireType: 0,
  absent: () => absent,
  isDefault: (value) => value === absent,
  encode: (value) => BigInt.asUintN(64, encode(value)),
  decode: (raw) => decode(raw as bigint),
});
const one = <T>(no: number, codec: ValueCodec<T>): Field<T> => ({ no, repeated: false, codec });

const boolCodec = varint<boolean>(
  false,
  (v) => (v ? 1n : 0n),
  (raw) => raw !== 0n,
);
const int64Codec = varint<string>('0', BigInt, (raw) => BigInt.asIntN(64, raw).toString());
const uint32Codec = varint<number>(0, BigInt, Number);
const idCodec = varint<string>(
  '0',
  (v) => BigInt(`0x${v}`),
  (raw) => raw.toString(16),
);
const stringCodec: ValueCodec<string> = {
  wireType: 2,
  absent: () => '',
  isDefault: (value) => value === '',
  encode: (value) => Buffer.from(value),
  decode: (raw) => utf8.decode(raw as Uint8Array),
};
const bytesCodec: ValueCodec<Buffer> = {
  wireType: 2,
  absent: () => Buffer.alloc(0),
  isDefault: (value) => value.length === 0,
  encode: (value) => value,
  decode: (raw) => Buffer.from(raw as Uint8Array),
};
const messageCodec = <T>(message: Message<T>): ValueCodec<T> => ({
  wireType: 2,
  absent: () => undefined,
  isDefault: () => false,
  encode: (value) => message.encode(value),
  decode: (raw) => message.decode(raw as Uint8Array),
});

export const bool = (no: number) => one(no, boolCodec);
/** Decimal string. */
export const int64 = (no: number) => one(no, int64Codec);
/** uint32 and enums: a number. */
export const uint32 = (no: number) => one(no, uint32Codec);
/** uint64 that is an id: lower-case hex string, `0` when unset. */
export const id = (no: number) => one(no, idCodec);
export const string = (no: number) => one(no, stringCodec);
export const bytes = (no: number) => one(no, bytesCodec);
/** A message inside a message: undefined when absent. */
export const nested = <T>(no: number, message: Message<T>): Field<T | undefined> =>
  one(no, messageCodec(message) as ValueCodec<T | undefined>);
export const strings = (no: number): Field<string[]> => many(no, stringCodec);
export const list = <T>(no: number, message: Message<T>): Field<T[]> => many(no, messageCodec(message));

const many = <T>(no: number, codec: ValueCodec<T>): Field<T[]> => ({
  no,
  repeated: true,
  codec: codec as unknown as ValueCodec<T[]>,
});

type Shape = Record<string, Field<unknown>>;
type Value<S> = { [K in keyof S]: S[K] extends Field<infer T> ? T : never };

export function message<const S extends Shape>(shape: S): Message<Value<S>> {
  const fields = Object.entries(shape);
  const byNumber = new Map(fields.map(([name, field]) => [field.no, { name, field }]));
  return {
    encode(value) {
      const parts: Uint8Array[] = [];
      for (const [name, field] of fields) {
        const content = (value as Record<string, unknown>)[name];
        if (content === undefined) continue;
        const items = field.repeated ? (content as unknown[]) : [content];
        for (const item of items) {
          if (!field.repeated && field.codec.isDefault(item)) continue;
          const raw = field.codec.encode(item);
          parts.push(encodeVarint(BigInt((field.no << 3) | field.codec.wireType)));
          if (typeof raw === 'bigint') parts.push(encodeVarint(raw));
          else parts.push(encodeVarint(BigInt(raw.length)), raw);
        }
      }
      return Buffer.concat(parts);
    },
    decode(input) {
      const result: Record<string, unknown> = {};
      for (const [name, field] of fields) result[name] = field.repeated ? [] : field.codec.absent();
      for (const { no, raw } of readFields(input)) {
        const known = byNumber.get(no);
        if (known === undefined) continue;
        const item = known.field.codec.decode(raw);
        if (known.field.repeated) (result[known.name] as unknown[]).push(item);
        else result[known.name] = item;
      }
      return result as Value<S>;
    },
  };
}

function encodeVarint(value: bigint): Uint8Array {
  const out: number[] = [];
  let rest = value;
  while (rest > 0x7fn) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  out.push(Number(rest));
  return Uint8Array.from(out);
}

function* readFields(input: Uint8Array): Generator<{ no: number; raw: bigint | Uint8Array }> {
  let at = 0;
  const varintAt = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = input[at++];
      if (byte === undefined) throw new Error('etcd sent a message that ends in the middle of a number');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < input.length) {
    const key = Number(varintAt());
    const no = key >>> 3;
    const wireType = key & 7;
    if (wireType === 0) yield { no, raw: varintAt() };
    else if (wireType === 2) {
      const end = Number(varintAt()) + at;
      if (end > input.length) throw new Error('etcd sent a message that is cut off');
      yield { no, raw: input.subarray(at, end) };
      at = end;
    } else if (wireType === 1) at += 8;
    else if (wireType === 5) at += 4;
    else throw new Error(`etcd sent a message with wire type ${wireType}, which no field of its API has`);
  }
}
