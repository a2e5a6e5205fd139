module apm.local/cluster/pause

go 1.25.0
