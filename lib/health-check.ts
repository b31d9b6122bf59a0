/**
 * Program text for `node -e`: exit code 0 when something listens on the port on any address of this host.
 * The nanny listens on the task's own address only, which is not known before the task runs.
 */
export const healthCheckScript = (port: number): string =>
  [
    "const all=Object.values(require('os').networkInterfaces()).flat().filter(i=>i.family==='IPv4');",
    `const connect=({address})=>new Promise((ok,no)=>require('net').connect(${port},address,ok).on('error',no));`,
    'Promise.any(all.map(connect)).then(()=>process.exit(0),()=>process.exit(1))',
  ].join('');
