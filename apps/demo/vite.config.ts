/** The page of the demo: what is in `src/page` goes to `dist/page`, from where the server hands it out. */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

export default defineConfig({
  root: fileURLToPath(new URL('src/page', import.meta.url)),
  // Relative, so that the page works below any path.
  base: './',
  build: {
    outDir: fileURLToPath(new URL('dist/page', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
  },
  logLevel: 'warn',
})
