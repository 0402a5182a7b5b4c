// Shows the token to the server once; the cookie that comes back is the server's alone to read.
const form = document.querySelector<HTMLFormElement>('#form')!;
const field = document.querySelector<HTMLInputElement>('#token')!;
const answer = document.querySelector<HTMLElement>('#answer')!;

async function signIn(): Promise<void> {
  const token = field.value.trim();
  // A header takes no other characters.
  const response = /^[\x21-\x7e]+$/.test(token) ? await fetch('/api/session', { headers: { authorization: `Bearer ${token}` } }).catch(() => null) : undefined;
  if (response?.ok === true) location.reload();
  else answer.textContent = response === null ? 'The console does not answer. Is it still running?' : 'That is not the token.';
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void signIn();
});
field.focus();
