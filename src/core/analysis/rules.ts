// The rules of the analyzer: what is worth an event. One YAML file (ANALYZER_RULES_FILE); what it does not say has the defaults below,
// which docs/analyzer_rules.yml shows with their meaning. What is not right is refused with its line and key.
import { YAMLException, load } from 'js-yaml';
import { z } from 'zod';
import { explain, show } from '../../contracts/index.ts';
import { UsageError, toError } from '../errors.ts';
import { closestName } from '../spelling.ts';
import { lineOf } from '../yaml_lines.ts';
import { windowNames } from './window.ts';

const above0 = z.number().positive().max(1e9);
const count = z.int().min(1).max(1_000_000);
const seconds = z.number().min(0).max(86_400);

type Severity = 'info' | 'warning' | 'error' | 'critical';

/** What every rule has. */
const common = (severity: Severity, coolDown: number) => ({
  enabled: z.boolean().default(true),
  severity: z.enum(['info', 'warning', 'error', 'critical']).default(severity),
  clear: z.number().min(0).max(0.99).default(0.5),
  cool_down_s: seconds.default(coolDown),
});
const window = (name: (typeof windowNames)[number]) => z.enum(windowNames).default(name);

const ruleSchemas = {
  price_spike: z.strictObject({ ...common('warning', 60), window: window('1s'), z: above0.default(8), min_bp: above0.default(20) }),
  volume_spike: z.strictObject({
    ...common('warning', 300), window: window('1m'), z: above0.default(8), times: above0.default(8), min_trades: count.default(5),
  }),
  spread_blowout: z.strictObject({ ...common('warning', 120), times: above0.default(10), min_bp: above0.default(10), min_quotes: count.default(100) }),
  crossed_quote: z.strictObject({ ...common('error', 60), min_bp: above0.default(0.01) }),
  divergence: z.strictObject({
    ...common('warning', 300), min_bp: above0.default(30), hold_ms: z.number().min(0).max(3_600_000).default(2_000), max_age_ms: above0.default(10_000),
    move_bp: above0.default(5),
  }),
  stale_feed: z.strictObject({ ...common('error', 0), min_s: above0.default(60), times: above0.default(20) }),
  liquidation_cascade: z.strictObject({ ...common('warning', 300), window: window('1m'), min_count: count.default(10), min_share: above0.max(1).default(0.3) }),
  volatility_regime: z.strictObject({ ...common('warning', 900), window: window('1s'), times: above0.default(3), min_windows: count.default(300) }),
  funding_jump: z.strictObject({ ...common('warning', 600), window: window('5m'), min_bp: above0.default(2) }),
  open_interest_jump: z.strictObject({ ...common('warning', 600), window: window('5m'), min_percent: above0.default(10) }),
  iv_move: z.strictObject({ ...common('warning', 600), window: window('5m'), min_points: above0.default(10) }),
};

const quarantineSchema = z.strictObject({
  price_factor: z.number().min(2).max(1e9).default(100),
  future_s: above0.default(60),
  retry_s: above0.default(5),
  max_retry_s: above0.default(600),
}).refine(({ retry_s: first, max_retry_s: most }) => first <= most, { path: ['retry_s'], error: 'is above max_retry_s (600 unless set)' });

const rulesSchema = z.strictObject({
  rules: z.strictObject({
    price_spike: ruleSchemas.price_spike.prefault({}),
    volume_spike: ruleSchemas.volume_spike.prefault({}),
    spread_blowout: ruleSchemas.spread_blowout.prefault({}),
    crossed_quote: ruleSchemas.crossed_quote.prefault({}),
    divergence: ruleSchemas.divergence.prefault({}),
    stale_feed: ruleSchemas.stale_feed.prefault({}),
    liquidation_cascade: ruleSchemas.liquidation_cascade.prefault({}),
    volatility_regime: ruleSchemas.volatility_regime.prefault({}),
    funding_jump: ruleSchemas.funding_jump.prefault({}),
    open_interest_jump: ruleSchemas.open_interest_jump.prefault({}),
    iv_move: ruleSchemas.iv_move.prefault({}),
  }).prefault({}),
  quarantine: quarantineSchema.prefault({}),
});

export type Rules = z.infer<typeof rulesSchema>;
export type RuleName = keyof typeof ruleSchemas;
export const ruleNames = Object.keys(ruleSchemas) as RuleName[];

export const DEFAULT_RULES: Rules = rulesSchema.parse({});

/** Everything as it is by default. */
const isCommentsOnly = (yaml: string): boolean => yaml.split('\n').every((line) => /^\s*(?:#|$)/.test(line));

/** Throws UsageError with one line that names the file, the line, the key and the value. */
export function parseRules(yaml: string, file: string): Rules {
  let tree: unknown;
  try {
    tree = isCommentsOnly(yaml) ? {} : load(yaml);
  } catch (error) {
    const { mark, reason } = error instanceof YAMLException ? error : { mark: undefined, reason: toError(error).message };
    const [place, words] = mark === undefined ? ['', ''] : [` line ${mark.line + 1}:`, `, in ${show(yaml.split('\n')[mark.line]?.trim())}`];
    throw new UsageError(`ANALYZER_RULES_FILE ${file}:${place} ${reason}${words}`);
  }
  const result = rulesSchema.safeParse(tree);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = (issue?.path ?? []).map(String);
  const refused = (at: readonly string[], why: string): UsageError => {
    const line = lineOf(yaml, at);
    return new UsageError(`ANALYZER_RULES_FILE ${file}:${line === null ? '' : ` line ${line}:`} ${why}`);
  };
  if (issue?.code !== 'unrecognized_keys') throw refused(path, explain(result.error, tree));
  const [key = ''] = issue.keys;
  const known = knownKeys(path);
  const meant = closestName(key, known);
  const what = path.length === 1 && path[0] === 'rules' ? 'rule' : 'key';
  throw refused([...path, key], `${[...path, key].join('.')}: unknown ${what}, ${meant === null ? `known: ${known.join(', ')}` : `did you mean ${meant}?`}`);
}

function knownKeys(path: readonly string[]): string[] {
  const [top, rule = ''] = path;
  if (top === undefined) return Object.keys(rulesSchema.shape);
  if (top === 'quarantine') return Object.keys(quarantineSchema.shape);
  return Object.hasOwn(ruleSchemas, rule) ? Object.keys(ruleSchemas[rule as RuleName].shape) : ruleNames;
}
