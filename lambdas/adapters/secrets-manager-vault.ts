import {
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { callAws, clientDefaults, errorName } from './aws-errors.ts';

/** Where client credentials are kept for those who use them. */
export interface SecretVault {
  /** The current value; undefined when it has none. */
  read(secretArn: string): Promise<string | undefined>;
  /** Becomes the current value; the one before stays readable as AWSPREVIOUS. */
  write(secretArn: string, value: string): Promise<void>;
}

/**
 * | method | AWS actions | resource |
 * |---|---|---|
 * | read | secretsmanager:GetSecretValue (and kms:Decrypt with an own key) | the secret |
 * | write | secretsmanager:PutSecretValue (and kms:GenerateDataKey) | the secret |
 */
export class SecretsManagerVault implements SecretVault {
  readonly #client: SecretsManagerClient;

  constructor(options: { client?: SecretsManagerClient } = {}) {
    this.#client = options.client ?? new SecretsManagerClient(clientDefaults);
  }

  async read(secretArn: string): Promise<string | undefined> {
    return callAws('secretsmanager:GetSecretValue', async () => {
      try {
        return (await this.#client.send(new GetSecretValueCommand({ SecretId: secretArn }))).SecretString;
      } catch (error) {
        if (errorName(error) === 'ResourceNotFoundException') return undefined;
        throw error;
      }
    });
  }

  async write(secretArn: string, value: string): Promise<void> {
    const command = new PutSecretValueCommand({ SecretId: secretArn, SecretString: value });
    await callAws('secretsmanager:PutSecretValue', () => this.#client.send(command));
  }
}
