from light_fleet import Fleet
import time
def test_x(new_fleet):
    fleet = new_fleet(["web1","web2"])
    fleet.restart()
    import resource
    for pb in ["adopt","prepare","promote","retire","rollout"]:
        c0=resource.getrusage(resource.RUSAGE_CHILDREN); t0=time.time()
        r = fleet.run(pb)
        c1=resource.getrusage(resource.RUSAGE_CHILDREN)
        print(pb, r.code, "wall", round(time.time()-t0,2), "cpu", round(c1.ru_utime+c1.ru_stime-c0.ru_utime-c0.ru_stime,2))
        print(r.text)
    print(fleet.ring())
