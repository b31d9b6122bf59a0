export type Xml = string | number | boolean | undefined | Xml[] | { readonly [name: string]: Xml };

const s3Namespace = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** An XML document, of S3 unless told otherwise. Arrays repeat their element; undefined leaves it out. */
export function document(name: string, content: Xml, namespace = s3Namespace): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element(name, content, ` xmlns="${namespace}"`)}`;
}

export function element(name: string, content: Xml, attributes = ''): string {
  if (content === undefined) return '';
  if (Array.isArray(content)) return content.map((one) => element(name, one)).join('');
  const inner =
    typeof content === 'object'
      ? Object.entries(content)
          .map(([child, value]) => element(child, value))
          .join('')
      : escapeText(String(content));
  return `<${name}${attributes}>${inner}</${name}>`;
}

/** Texts of all elements of that name. Enough for the two small documents that clients send to S3. */
export function texts(xml: string, name: string): string[] {
  return blocks(xml, name).map(plainText);
}

export function blocks(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}(?: [^>]*)?>([\\s\\S]*?)</${name}>`, 'g'))].map(
    ([, inner]) => inner!,
  );
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function escapeText(text: string): string {
  return text.replace(/[&<>"'\r\n]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function plainText(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal) return String.fromCodePoint(Number(decimal));
    return entities[name] ?? whole;
  });
}
