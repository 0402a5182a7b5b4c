// Messages that could not be stored: what they were, why, and what to do.
import type { DeadLetters } from '../../shown.ts';
import { badge, button, empty, h, keyed, trouble } from '../dom.ts';
import { count, moment } from '../format.ts';
import { Watching, isTrouble } from '../live.ts';
import { remember, type Page } from '../router.ts';

type Letter = DeadLetters['letters'][number];

export const dlq: Page = (root, query) => {
  let after = query.get('after') ?? '';
  let watching = new Watching();
  const total = h('p', { class: 'muted' });
  const list = h('div');
  const note = h('div', {}, empty('Asking Redis …'));
  const pager = h('div', { class: 'controls' });
  const turn = (to: string): void => {
    after = to;
    open();
  };
  const open = (): void => {
    watching.close();
    remember({ after });
    watching = new Watching().watch('dlq', { after }, (answer) => {
      note.replaceChildren();
      if (isTrouble(answer)) note.replaceChildren(trouble(answer.error.message));
      else {
        const { letters, next } = answer;
        total.textContent = `${count(answer.total)} dead letters, oldest first`;
        if (letters.length === 0) note.replaceChildren(empty('No dead letter: everything that came could be stored.'));
        keyed(list, letters, ({ id }) => id, letterOf);
        keyed(pager, [...(after === '' ? [] : [['first', 'First page', ''] as const]), ...(next === null ? [] : [['next', 'Next page', next] as const])],
          ([name, , to]) => `${name} ${to}`, ([, text, to]) => button(text, {}, () => turn(to)));
      }
    }).open();
  };
  root.append(h('h1', {}, 'Dead letters'), total, note, list, pager);
  open();
  return () => watching.close();
};

function letterOf({ id, error, errorClass, deliveries, failedTs, payload }: Letter): HTMLElement {
  return h('details', { class: 'panel letter' },
    h('summary', {}, h('code', {}, id), ' ', badge(errorClass, 'bad'), ' ', h('span', { class: 'break' }, error)),
    h('p', { class: 'muted' }, `failed ${moment(failedTs)}, deliveries: ${deliveries}`),
    h('pre', { tabindex: 0, 'aria-label': 'Payload as received' }, pretty(payload)),
    h('p', {}, 'When its cause is gone, put it back into the stream; or throw it away:'),
    command(`npm run dlq -- replay ${id}`), command(`npm run dlq -- discard ${id}`));
}

function command(text: string): HTMLElement {
  const copy = button('Copy', { 'aria-label': `Copy: ${text}` }, () => {
    void navigator.clipboard.writeText(text).then(() => (copy.textContent = 'Copied'), () => (copy.textContent = 'Select it by hand'));
  });
  return h('p', {}, h('code', {}, text), ' ', copy);
}

/** JSON spread out; anything else as it came. */
function pretty(payload: string): string {
  try {
    return JSON.stringify(JSON.parse(payload), null, 2);
  } catch {
    return payload;
  }
}
