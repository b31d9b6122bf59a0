import * as z from 'zod';
import { etcdIdSchema, tenantIdSchema } from '../model/names.ts';

/** What `GET /v1/tenants/{id}/connection` answers: all a client needs besides its own certificate. */
export const connectionSchema = z.strictObject({
  tenantId: tenantIdSchema,
  /** Client URLs of the voting members. */
  endpoints: z.array(z.url()).min(1),
  /** Lists the addresses of all members; resolves inside the VPC. */
  dnsName: z.string(),
  /** PEM. */
  caBundle: z.string(),
  clusterId: etcdIdSchema,
});

export type Connection = z.infer<typeof connectionSchema>;

export const connectionFormats = ['env', 'json', 'etcdctl', 'kube-apiserver', 'patroni'] as const;
export type ConnectionFormat = (typeof connectionFormats)[number];

/** `members`: one URL per voting member. `dns`: the tenant's name, for clients inside the VPC. */
export const endpointChoices = ['members', 'dns'] as const;
export type EndpointChoice = (typeof endpointChoices)[number];

export interface CredentialFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Names under which credentials are written into a folder. */
export const credentialFileNames: CredentialFiles = {
  ca: 'ca.pem',
  certificate: 'client.pem',
  key: 'client-key.pem',
};

/** @param folder without a slash at its end; '' for the folder one is in */
export function credentialFilesIn(folder: string): CredentialFiles {
  const prefix = folder === '' ? '' : `${folder}/`;
  return {
    ca: `${prefix}${credentialFileNames.ca}`,
    certificate: `${prefix}${credentialFileNames.certificate}`,
    key: `${prefix}${credentialFileNames.key}`,
  };
}

export function chosenEndpoints(connection: Connection, choice: EndpointChoice): readonly string[] {
  return choice === 'dns' ? [`https://${connection.dnsName}:2379`] : connection.endpoints;
}
