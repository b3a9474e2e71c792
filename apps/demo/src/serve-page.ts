/**
 * Serving the built page: a few files, read once at the start, so that a request touches no disk and can name no other file.
 */
import { readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join, relative, sep } from 'node:path'

/** URL path → file. */
export type Page = ReadonlyMap<string, { readonly bytes: Uint8Array; readonly type: string }>

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.map': 'application/json',
}

/** Nothing from elsewhere: the page is all its own. */
const POLICY = "default-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'"

/** @throws Error if there is no page in the folder. */
export async function readPage(folder: string): Promise<Page> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const page = new Map<string, { bytes: Uint8Array; type: string }>()
  for (const file of files) {
    const path = `/${relative(folder, file).split(sep).join('/')}`
    page.set(path, { bytes: await readFile(file), type: TYPES[extname(file)] ?? 'application/octet-stream' })
  }
  const start = page.get('/index.html')
  if (start === undefined) throw new Error(`there is no page in ${folder}: run \`pnpm build\` first`)
  return page.set('/', start)
}

export function servePage(page: Page): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const path = request.url?.replace(/[?#].*$/, '') ?? '/'
    const file = page.get(path)
    if (file === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' })
      response.end('there is nothing here\n')
      return
    }
    response.writeHead(200, {
      'content-type': file.type,
      'content-length': file.bytes.length,
      // Vite puts a hash of the content into the names of assets.
      'cache-control': path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
      'content-security-policy': POLICY,
      'x-content-type-options': 'nosniff',
    })
    response.end(request.method === 'HEAD' ? undefined : file.bytes)
  }
}
