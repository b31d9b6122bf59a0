/** Something with an address. The control plane has neither task nor zone. */
export interface Place {
  readonly ip: string;
  readonly zone: string;
}

export const controlPlane: Place = { ip: 'control-plane', zone: '' };

export interface Cut {
  readonly what: { readonly ip: string } | { readonly zone: string };
  readonly from: 'peers' | 'control-plane' | 'all';
  /** Connections that are not to be made: into it, out of it, or both. */
  readonly way: 'in' | 'out' | 'both';
}

/** Who can open a connection to whom. */
export class Network {
  readonly cuts = new Set<Cut>();

  opens(from: Place, to: Place): boolean {
    if (from === to || this.cuts.size === 0) return true;
    for (const cut of this.cuts) {
      if (hits(cut, from, to, 'out') || hits(cut, to, from, 'in')) return false;
    }
    return true;
  }

  /** Both can reach each other: raft needs appends and their answers. */
  links(a: Place, b: Place): boolean {
    return this.opens(a, b) && this.opens(b, a);
  }

  /** Its host is out of everybody's reach, so that ECS cannot stop it either. */
  isolated(place: Place): boolean {
    return [...this.cuts].some((cut) => cut.from === 'all' && cut.way === 'both' && inside(cut, place));
  }
}

const inside = ({ what }: Cut, place: Place): boolean =>
  'ip' in what ? what.ip === place.ip : what.zone === place.zone;

function hits(cut: Cut, place: Place, other: Place, way: 'in' | 'out'): boolean {
  if (cut.way !== 'both' && cut.way !== way) return false;
  if (!inside(cut, place) || inside(cut, other)) return false;
  return cut.from === 'all' || cut.from === (other === controlPlane ? 'control-plane' : 'peers');
}
