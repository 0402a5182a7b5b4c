# One image for all services: `start.ts <service>` chooses. TypeScript runs natively on Node 24 (types are stripped at load,
# the compile cache keeps the start at the speed of compiled JavaScript).
FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# No install scripts: nothing but the locked packages' own files gets in. Optional packages serve machines without Node 24 or PostgreSQL.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production NODE_COMPILE_CACHE=/tmp/compile-cache METRICS_HOST=0.0.0.0 METRICS_PORT=9400
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json package-lock.json init.sql ./
COPY docs/system_contracts.yml docs/system_contracts.yml
COPY src src
# The kill switch's file outlives the container: its volume takes this folder's owner, the executor's.
RUN install -d -o 10005 -g 10005 /state
USER node
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=6 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:'+process.env.METRICS_PORT+'/healthz').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["node", "src/scripts/start.ts"]
CMD ["receiver"]
