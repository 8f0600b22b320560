// Fetches as a browser does for a page of some origin: it sends a preflight before a request that needs one (CORS), and hides
// from the page the headers that the server does not expose.

/** Headers that a page may send without a preflight (the Fetch standard's safelist), and content types. */
const UNASKED = new Set(["accept", "accept-language", "content-language"]);
const FORMS = new Set(["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]);
/** Headers of a response that a page may read even if the server does not expose them. */
const READABLE = new Set(["cache-control", "content-language", "content-length", "content-type", "expires"]);

const list = (text) => new Set((text ?? "").toLowerCase().split(",").map((name) => name.trim()).filter(Boolean));

/** `fetch` for the pages of `origin`; counts the preflights in `fetch.preflights`. */
export function fetchFrom(origin) {
  const admit = (response) => {
    const allowed = response.headers.get("access-control-allow-origin");
    if (allowed !== "*" && allowed !== origin) throw new TypeError(`CORS: ${origin} may not read the answer`);
  };
  const fetchAsPage = async (url, init) => {
    const request = new Request(url, init);
    const isForm = (value) => FORMS.has(value.split(";")[0].trim());
    const asked = [...request.headers].filter(([name, value]) =>
      !UNASKED.has(name) && !(name === "content-type" && isForm(value))).map(([name]) => name).sort();
    if (asked.length > 0) {
      fetchAsPage.preflights += 1;
      const answer = await fetch(url, {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": request.method,
          "access-control-request-headers": asked.join(","),
        },
        signal: request.signal,
      });
      admit(answer);
      if (!answer.ok) throw new TypeError(`CORS: the preflight was answered ${answer.status}`);
      const headers = list(answer.headers.get("access-control-allow-headers"));
      const refused = asked.filter((name) => !headers.has(name));
      if (refused.length > 0) throw new TypeError(`CORS: ${refused} may not be sent`);
    }
    const headers = new Headers(request.headers);
    headers.set("origin", origin);
    const response = await fetch(url, { ...init, headers });
    admit(response);
    const exposed = list(response.headers.get("access-control-expose-headers"));
    const seen = [...response.headers].filter(([name]) => READABLE.has(name) || exposed.has(name));
    return new Response(response.body, { status: response.status, headers: seen });
  };
  fetchAsPage.preflights = 0;
  return fetchAsPage;
}
