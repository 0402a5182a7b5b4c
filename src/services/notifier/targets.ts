// Where events are told, by the configuration.
import type { NotifyConfig } from '../../runtime/analyzer_env.ts';
import { discordBody, genericBody, slackBody, telegramBody, type Notice } from './message.ts';

export interface Target {
  /** Stands in metrics, health and the consumer group's name. */
  readonly name: string;
  /** A secret. */
  readonly url: string;
  readonly body: (notice: Notice) => unknown;
}

export function targetsOf({ webhookUrl, slackUrl, discordUrl, telegram }: NotifyConfig): Target[] {
  const targets: Target[] = [];
  if (webhookUrl !== null) targets.push({ name: 'webhook', url: webhookUrl, body: genericBody });
  if (slackUrl !== null) targets.push({ name: 'slack', url: slackUrl, body: slackBody });
  if (discordUrl !== null) targets.push({ name: 'discord', url: discordUrl, body: discordBody });
  if (telegram !== null) targets.push({ name: 'telegram', url: `${telegram.url}/bot${telegram.token}/sendMessage`, body: telegramBody(telegram.chat) });
  return targets;
}
