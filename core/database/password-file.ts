/**
 * The file that PGPASSFILE names: lines `host:port:database:user:password`, where `*` matches everything and a backslash
 * precedes a colon or backslash. The library warns that it will not read the file any more.
 *
 * @module
 */
export interface DatabaseLogin {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

const fieldForm = /(?:\\.|[^:\\])*/y;

/** The password of the first line that matches; undefined: none does. */
export function passwordIn(
  text: string,
  { host, port, database, user }: DatabaseLogin,
): string | undefined {
  // A Unix socket is `localhost` there.
  const hosts = host.startsWith('/') ? [host, 'localhost'] : [host];
  const wanted = [hosts, [String(port)], [database], [user]];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = fieldsOf(line);
    const matches = wanted.every((names, at) => {
      const field = fields[at];
      return field !== undefined && (field === '*' || names.includes(field));
    });
    if (matches && fields[4] !== undefined) return fields[4];
  }
  return undefined;
}

function fieldsOf(line: string): string[] {
  const fields: string[] = [];
  for (let at = 0; at <= line.length; at = fieldForm.lastIndex + 1) {
    fieldForm.lastIndex = at;
    const [field] = fieldForm.exec(line) ?? [];
    if (field === undefined) break;
    fields.push(field.replaceAll(/\\(.)/g, '$1'));
  }
  return fields;
}
