/** One file, because loading aws-cdk-lib and synthesizing takes seconds: all suites share what was synthesized. */
import './suites/stacks.ts';
import './suites/stateful.ts';
import './suites/network.ts';
import './suites/member-task.ts';
import './suites/control-plane.ts';
import './suites/policies.ts';
import './suites/egress.ts';
import './suites/conventions.ts';
