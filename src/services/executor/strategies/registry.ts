// Every built-in strategy. A new one is its file and one line here.
import { fundingCarry } from './funding-carry.ts';
import { quoteMaker } from './quote-maker.ts';
import { smaCross } from './sma-cross.ts';
import type { Strategy } from './strategy.ts';

export const STRATEGIES: readonly Strategy[] = [smaCross, fundingCarry, quoteMaker];
