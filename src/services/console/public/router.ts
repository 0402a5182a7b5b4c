// Which page is shown: by the address, and without loading the frame again.

/** Shows a page in `root`; returns how to leave it. */
export type Page = (root: HTMLElement, query: URLSearchParams) => () => void;

export type Pages = Readonly<Record<string, readonly [title: string, page: Page]>>;

/** A page whose module is loaded when it is asked for: the chart library is half of all there is to load. */
export const lazy = (load: () => Promise<Page>): Page => (root, query) => {
  let leave: (() => void) | null = null;
  let left = false;
  void load().then((page) => {
    if (!left) leave = page(root, query);
  }, () => {
    root.append('This page could not be loaded. Is the console still running? Load it again.');
  });
  return () => {
    left = true;
    leave?.();
  };
};

/** Shows the page of the address, and follows links and the browser's own steps. */
export function startRouter(pages: Pages): void {
  const content = document.querySelector<HTMLElement>('#content')!;
  let leave: () => void = () => undefined;
  const show = (): void => {
    leave();
    const [title, page] = pages[location.pathname] ?? pages['/']!;
    document.title = `${title} · tapekeeper`;
    for (const link of document.querySelectorAll('nav a')) {
      if (link.getAttribute('href') === location.pathname) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    content.replaceChildren();
    leave = page(content, new URLSearchParams(location.search));
  };
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0;
    if (link === null || elsewhere || link.origin !== location.origin || link.hash !== '' || pages[link.pathname] === undefined) return;
    event.preventDefault();
    history.pushState(null, '', link.href);
    show();
    content.focus();
  });
  window.addEventListener('popstate', show);
  show();
}

/** Puts what is chosen on a page into its address, so that it can be kept and sent. */
export function remember(query: Readonly<Record<string, string>>): void {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== '')).toString();
  history.replaceState(null, '', text === '' ? location.pathname : `${location.pathname}?${text}`);
}
