import { ControlPlaneError } from '../../lambdas/core/errors.ts';
import type { KeyPurpose, KeyVault } from '../../lambdas/core/ports.ts';

/** Not encryption: it only holds callers to the rule that tenant and purpose must match. */
export class FakeKeyVault implements KeyVault {
  async encrypt(tenantId: string, purpose: KeyPurpose, plaintext: string): Promise<string> {
    return Buffer.from(JSON.stringify({ tenantId, purpose, plaintext })).toString('base64');
  }

  async decrypt(tenantId: string, purpose: KeyPurpose, ciphertext: string): Promise<string> {
    const opened = open(ciphertext);
    if (opened?.tenantId !== tenantId || opened.purpose !== purpose) {
      throw new ControlPlaneError('key-vault', `The ciphertext is not the ${purpose} key of ${tenantId}.`);
    }
    return opened.plaintext;
  }
}

function open(ciphertext: string): { tenantId: string; purpose: string; plaintext: string } | undefined {
  try {
    return JSON.parse(Buffer.from(ciphertext, 'base64').toString());
  } catch {
    return undefined;
  }
}
