/** The path under which EST is served (RFC 7030, 3.2.2). @module */
export const estPath = '/.well-known/est';
