import { request } from 'node:http';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';

export interface Signer {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of any route
  readonly body: any;
}

/** A call of an API with IAM authorisation; from `localAddress`, when it matters where it comes from. */
export async function callApi(
  url: string,
  options: {
    method?: string;
    body?: string;
    headers?: Record<string, string>;
    credentials?: Signer;
    localAddress?: string;
    /** @default now */
    signingDate?: Date;
    /** @default the Region of the local cloud */
    region?: string;
    /** What is sent, when it is not what was signed. */
    sentBody?: string;
  } = {},
): Promise<Answer> {
  const target = new URL(url);
  const { method = 'GET', body, credentials, localAddress } = options;
  let headers: Record<string, string> = { ...options.headers, host: target.host };
  if (credentials) {
    const query: Record<string, string[]> = {};
    for (const [name, value] of target.searchParams) query[name] = [...(query[name] ?? []), value];
    const signer = new SignatureV4({
      credentials,
      region: options.region ?? 'us-east-1',
      service: 'execute-api',
      sha256: Sha256,
    });
    const signed = await signer.sign(
      {
        method,
        protocol: 'http:',
        hostname: target.hostname,
        port: Number(target.port),
        path: target.pathname,
        query,
        headers,
        body,
      },
      options.signingDate && { signingDate: options.signingDate },
    );
    headers = signed.headers as Record<string, string>;
  }
  return new Promise((resolve, reject) => {
    const outgoing = request(target, { method, headers, localAddress, agent: false }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const json = /^[{[]/.test(text);
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: json ? JSON.parse(text) : text,
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(options.sentBody ?? body);
  });
}
