import { type App, Stack } from 'aws-cdk-lib';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Json,
  lastingContext,
  localContext,
  type Synthesized,
  synthesize,
  synthesizeAnew,
} from '../synth.ts';

let app: Synthesized;
beforeAll(async () => {
  app = await synthesize(localContext);
});

/** Hashes of code and image, which change with every line of code. */
const blank = (template: Json) => JSON.parse(JSON.stringify(template).replace(/\b[0-9a-f]{64}\b/g, '<hash>'));

describe('the synthesized app', () => {
  it('passes cdk-nag and the rules of CloudFormation without a warning', () => {
    const found = app.report.pluginReports.flatMap((plugin: Json) => plugin.violations);
    expect(found).toEqual([]);
  });

  it('would not pass with a bucket that takes plain HTTP', async () => {
    const openBucket = (app: App) => new Bucket(new Stack(app, 'extra'), 'Open', { enforceSSL: false });
    await expect(synthesizeAnew(localContext, openBucket)).rejects.toThrow(/AwsSolutions-S10/);
  });

  it('has one stack for state, two per cell and one control plane', () => {
    expect(Object.keys(app.templates).sort()).toEqual([
      'etcd-nanny-c1-fleet',
      'etcd-nanny-c1-network',
      'etcd-nanny-control-plane',
      'etcd-nanny-state',
    ]);
  });

  it.each(['state', 'c1-network', 'c1-fleet', 'control-plane'])('%s has not changed unnoticed', (part) => {
    expect(blank(app.templates[`etcd-nanny-${part}`])).toMatchSnapshot();
  });

  it('is the same in every synth', async () => {
    const again = await synthesizeAnew(localContext);
    expect(again.templates).toEqual(app.templates);
  });

  it('grows by cells without touching the first one', async () => {
    const two = await synthesize({ ...localContext, cells: 2 });
    expect(Object.keys(two.templates)).toContain('etcd-nanny-c2-fleet');
    expect(two.templates['etcd-nanny-c1-fleet']).toEqual(app.templates['etcd-nanny-c1-fleet']);
    expect(two.templates['etcd-nanny-c1-network']).toEqual(app.templates['etcd-nanny-c1-network']);
    const api = two
      .of('AWS::Lambda::Function')
      .find(({ Properties }) => Properties.Environment.Variables.CELLS);
    expect(JSON.stringify(api?.Properties.Environment.Variables.CELLS)).toContain('etcd-nanny-c2-fleet');
  });

  it('can live twice in an account under another name', async () => {
    const other = await synthesize(lastingContext);
    expect(Object.keys(other.templates).every((name) => name.startsWith('prod-'))).toBe(true);
  });
});
