// What scripts send to the site, and what they say where no answer comes.

// Read from the cookie each time, because signing in elsewhere changes it; a page that stays open goes on working.
export const readToken = (form) => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? form.elements.csrfmiddlewaretoken.value;

// Sending the same again would not help.
export class Refused extends Error {}

export class SignedOut extends Refused {}

function explain(request) {
  const { status } = request;
  if (status === 413) return new Refused("That is more than this site takes at a time.");
  if (status === 404) return new Refused("This listing is not there any more.");
  if (status === 429) return new Refused(`That was very often. Wait ${request.getResponseHeader("Retry-After") ?? 60} seconds.`);
  if (status === 507) return new Error("The server has no room for photos at the moment.");
  if (status >= 500) return new Error("The server is busy.");
  return status < 400 || status === 403 ? new SignedOut("You are signed out, or signed in as somebody else.") : new Refused("That did not work.");
}

export function send(url, body, token, onProgress = () => {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", token);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    request.onload = () => {
      const isOurs = request.status < 500 && request.status !== 429 && request.response && new URL(request.responseURL).pathname === new URL(url, location.href).pathname;
      if (isOurs) resolve(request);
      else reject(explain(request));
    };
    request.onerror = request.ontimeout = () => reject(new Error("No connection."));
    request.timeout = 180_000;
    request.send(body);
  });
}
