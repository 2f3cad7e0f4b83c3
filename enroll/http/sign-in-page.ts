/**
 * The few pages that work before anybody is signed in: plain HTML without a script, in the style of the console.
 *
 * @module
 */

/** The page behind a sign-in link. Only its button uses the link: previews of the link do not. */
export function linkPage(token: string): string {
  return page(
    'Sign in',
    `<form method="post" action="/v1/sign-in/link"><input type="hidden" name="token" value="${escapeHtml(token)}"><button class="primary" autofocus>Sign in to the Flotilla console</button></form>`,
  );
}

/**
 * A page that goes on to the console. A redirect would not do: a cookie with `SameSite=Strict` is not sent
 * when the navigation began at another site.
 */
export function signedInPage(): string {
  return page(
    'Signed in',
    '<p>Signed in. <a href="/console/">Continue to the console</a>.</p>',
    '<meta http-equiv="refresh" content="0;url=/console/">',
  );
}

/** A page for a sign-in that failed. */
export function failedPage(title: string, advice: string): string {
  return page('Not signed in', `<p>${escapeHtml(title)}.</p><p>${escapeHtml(advice)}</p>`);
}

function page(title: string, content: string, head = ''): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>${title} – Flotilla</title><link rel="stylesheet" href="/console/app.css">${head}</head><body><main class="sign-in"><h1>${title}</h1>${content}</main></body></html>\n`;
}

export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
