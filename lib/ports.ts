/** TCP ports of a member, all on its task's own IP. */
export const ports = { admin: 2378, client: 2379, peer: 2380 } as const;
