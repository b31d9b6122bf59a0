// Adds up what the test runs of this CI pass reported, and prints the closing line. Exits 1 when nothing ran.
import { readdirSync, readFileSync } from 'node:fs';

const folder = new URL('../.cache/test-results/', import.meta.url);
let passed = 0;
let failed = 0;
let skipped = 0;
// What e2e topics have asked of IAM lies in a folder of its own.
for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
  const result = JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
  passed += result.numPassedTests;
  failed += result.numFailedTests;
  skipped += result.numPendingTests + result.numTodoTests;
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(passed > 0 && failed === 0 ? 0 : 1);
