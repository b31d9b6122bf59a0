import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { physicalName, stableHex } from '../../aws/names.ts';
import { AwsError, type CloudContext, type ResourceProvider } from '../../aws/service.ts';
import { openStateFile, type StateFile } from '../../aws/state-file.ts';

export interface Version {
  readonly id: string;
  readonly value: string;
  readonly createdAt: string;
}

export interface Secret {
  readonly arn: string;
  readonly name: string;
  readonly createdAt: string;
  description?: string;
  kmsKeyId?: string;
  deletedAt?: string;
  /** Newest last: the last is AWSCURRENT, the one before AWSPREVIOUS. More are never kept. */
  versions: Version[];
}

interface SecretsState {
  /** By ARN. */
  readonly secrets: Record<string, Secret>;
}

/** Values lie in the state folder, readable for its owner only, as its keys do. */
export class Secrets {
  readonly #context: Pick<CloudContext, 'accountId' | 'region'>;
  readonly #file: StateFile<SecretsState>;

  constructor(context: Pick<CloudContext, 'accountId' | 'region' | 'stateDir'>) {
    this.#context = context;
    this.#file = openStateFile(join(context.stateDir, 'secretsmanager', 'secrets.json'), { secrets: {} });
  }

  /** @param suffix the six characters that Secrets Manager adds to the name */
  create(name: string, suffix: string, fields: Pick<Secret, 'description' | 'kmsKeyId'>): Secret {
    const { region, accountId } = this.#context;
    const arn = `arn:aws:secretsmanager:${region}:${accountId}:secret:${name}-${suffix}`;
    const known = Object.values(this.#file.state.secrets).find((other) => other.name === name);
    if (known && !known.deletedAt)
      throw new AwsError(
        'ResourceExistsException',
        `A resource with the ID you requested already exists: ${name}`,
      );
    const secret: Secret = { arn, name, createdAt: new Date().toISOString(), versions: [], ...fields };
    this.#file.state.secrets[arn] = secret;
    this.#file.save();
    return secret;
  }

  known(arn: string): Secret | undefined {
    return this.#file.state.secrets[arn];
  }

  /** @param id ARN or name @throws AwsError ResourceNotFoundException, InvalidRequestException when it is deleted */
  find(id: string): Secret {
    const found = this.known(id) ?? Object.values(this.#file.state.secrets).find(({ name }) => name === id);
    if (!found)
      throw new AwsError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
    return found;
  }

  usable(id: string): Secret {
    const secret = this.find(id);
    if (secret.deletedAt)
      throw new AwsError(
        'InvalidRequestException',
        'You tried to perform the operation on a secret that’s currently marked deleted.',
      );
    return secret;
  }

  put(secret: Secret, value: string, token: string): Version {
    const known = secret.versions.find(({ id }) => id === token);
    if (known) {
      if (known.value === value) return known;
      throw new AwsError(
        'ResourceExistsException',
        'You can’t use ClientRequestToken that was used for another value.',
      );
    }
    const version = { id: token, value, createdAt: new Date().toISOString() };
    secret.versions = [...secret.versions.slice(-1), version];
    this.#file.save();
    return version;
  }

  change(secret: Secret, fields: Partial<Pick<Secret, 'description' | 'kmsKeyId' | 'deletedAt'>>): void {
    Object.assign(secret, fields);
    this.#file.save();
  }

  remove(arn: string): void {
    delete this.#file.state.secrets[arn];
    this.#file.save();
  }

  /** `AWS::SecretsManager::Secret`. A value that was put later is never overwritten by a template. */
  provider(): ResourceProvider {
    return {
      types: ['AWS::SecretsManager::Secret'],
      provision: async (resource) => {
        const { Name, Description, KmsKeyId, SecretString, GenerateSecretString } = resource.properties;
        const name = Name ?? physicalName(resource);
        const suffix = stableHex(6, resource.stack, resource.logicalId);
        const { region, accountId } = this.#context;
        const arn = `arn:aws:secretsmanager:${region}:${accountId}:secret:${name}-${suffix}`;
        const fields = { description: Description, kmsKeyId: KmsKeyId };
        const secret = this.known(arn) ?? this.create(name, suffix, fields);
        this.change(secret, fields);
        if (secret.versions.length === 0) {
          if (GenerateSecretString) this.put(secret, randomBytes(24).toString('base64url'), randomUUID());
          else if (SecretString !== undefined) this.put(secret, SecretString, randomUUID());
        }
        return { ref: arn, attributes: { Id: arn } };
      },
      remove: async ({ ref }) => this.remove(ref),
    };
  }
}
