from lightrag_integration.deploy_production_load_balancer import main

raise SystemExit(main())
