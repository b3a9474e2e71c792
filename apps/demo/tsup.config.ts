/** The server of the demo; Vite builds the page. */
import { defineConfig } from 'tsup'

export default defineConfig({
  entry: ['src/server.ts'],
  format: 'esm',
  target: 'es2022',
  clean: true,
  silent: true,
})
