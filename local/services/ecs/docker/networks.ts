import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { subnetGateway } from '../addresses.ts';
import { ContainerStartError } from '../runtime.ts';
import { type Engine, EngineError } from './engine.ts';

const run = promisify(execFile);

export interface ZoneNetwork {
  readonly name: string;
  /** Address of this machine in it. */
  readonly gateway: string;
}

/** One bridge network per zone, whose subnet is that of the zone in the VPC; members of all zones reach each other. */
export interface ZoneNetworks {
  of(zone: string, cidr: string): Promise<ZoneNetwork>;
  close(): Promise<void>;
}

export interface ZoneNetworksOptions {
  readonly engine: Engine;
  readonly label: string;
  readonly vpcCidr: string;
  /** Told once of each gateway: what containers call has to listen there. */
  readonly onGateway: (address: string) => Promise<void>;
  /** @default iptables(8) */
  readonly firewall?: ((args: readonly string[]) => Promise<unknown>) | undefined;
}

/**
 * Docker keeps bridges apart (DOCKER-ISOLATION-STAGE-*); its chain for other people's rules comes before. Nothing is
 * masqueraded: a peer must see the address that its caller's certificate names, and an isolated VPC has no way out.
 */
export function zoneNetworks(options: ZoneNetworksOptions): ZoneNetworks {
  const { engine, label, vpcCidr } = options;
  const firewall = options.firewall ?? ((args) => run('iptables', ['--wait', ...args]));
  const made = new Map<string, Promise<ZoneNetwork>>();
  const rule = ['DOCKER-USER', '-s', vpcCidr, '-d', vpcCidr, '-j', 'ACCEPT'];
  let routed: Promise<void> | undefined;

  async function route(): Promise<void> {
    try {
      // Once, whoever was killed before.
      await firewall(['-C', ...rule]).catch(() => firewall(['-I', ...rule]));
    } catch (error) {
      throw new ContainerStartError(
        'ResourceInitializationError',
        `zones cannot be joined: iptables said: ${(error as Error).message.trim()}`,
      );
    }
  }

  async function make(zone: string, cidr: string): Promise<ZoneNetwork> {
    routed ??= route();
    await routed;
    const { gateway } = subnetGateway(cidr);
    const name = `etcd-nanny-${zone}-${cidr.replace('/', '-')}`;
    const [key = '', value = ''] = label.split(/=(.*)/);
    try {
      await engine.createNetwork({
        Name: name,
        CheckDuplicate: true,
        Driver: 'bridge',
        IPAM: { Config: [{ Subnet: cidr, Gateway: gateway }] },
        Options: { 'com.docker.network.bridge.enable_ip_masquerade': 'false' },
        Labels: { [key]: value, 'etcd-nanny.zone': zone },
      });
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      throw new ContainerStartError(
        'ResourceInitializationError',
        `no Docker network ${cidr} for ${zone}: ${error.message}`,
      );
    }
    await options.onGateway(gateway);
    return { name, gateway };
  }

  return {
    of(zone, cidr) {
      const known = made.get(cidr);
      if (known !== undefined) return known;
      const fresh = make(zone, cidr);
      made.set(cidr, fresh);
      // The next task tries again.
      fresh.catch(() => made.delete(cidr));
      return fresh;
    },
    async close() {
      for (const { id } of await engine.networks(label)) await engine.removeNetwork(id);
      if (routed !== undefined) await firewall(['-D', ...rule]).catch(() => undefined);
      made.clear();
      routed = undefined;
    },
  };
}
