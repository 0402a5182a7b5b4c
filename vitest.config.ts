import { defineConfig } from 'vitest/config';

const jsonReport = process.env['VITEST_JSON'];

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts'],
    globalSetup: ['src/testing/global-setup.ts'],
    // Real processes: child servers die with the fork that started them, and a hanging file cannot hold up the rest.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    ...(jsonReport === undefined ? {} : { reporters: ['default', ['json', { outputFile: jsonReport }]] }),
  },
});
