// Calls with the types that openapi-typescript made; see generated_calls.py.
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { paths } from "./towline.js";

const given = JSON.parse(readFileSync(0, "utf-8"));
const by = (headers: Record<string, string>) =>
  createClient<paths>({ baseUrl: given.url, headers });
const basic = by({ Authorization: `Basic ${given.basic}` });
const bearer = by({ Authorization: `Bearer ${given.token}` });
const key = by({ "Nected-API-Key": given.key });

const codat = await basic.GET("/companies", { params: { query: { pageSize: 10 } } });
const connections = await bearer.GET("/v2/integrations/connections/{connection_id}/syncs", {
  params: { path: { connection_id: given.connection } },
});
const native = await bearer.GET("/api/towline/v1/projects/{project_id}/assets", {
  params: { path: { project_id: given.company } },
});
const nected = await key.POST("/dev/remote/pull", {
  params: { header: { "Nected-Branch": "main" } },
});
const snaplogic = await bearer.GET(
  "/api/1/rest/public/project/repo-status/{org}/{space}/{project}",
  { params: { path: { org: "demo", space: "shop", project: "rules" } } },
);
const syncs = await bearer.GET("/api/v1/syncs");
const unknown = await basic.GET("/companies/{companyId}", {
  params: { path: { companyId: "00000000-0000-4000-8000-000000000000" } },
});

console.log(
  JSON.stringify({
    codat: codat.data,
    connections: connections.data,
    native: native.data,
    nected: nected.data,
    snaplogic: snaplogic.data,
    syncs: syncs.data,
    unknown: unknown.error,
  }),
);
