using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Http;
using Microsoft.Win32.SafeHandles;
using Vmm.Api.Config;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Control;

namespace Vmm.Api.Endpoints;

/// <summary>Requests that change the machine.</summary>
/// <param name="controller">Carries them out.</param>
/// <param name="options">How long a removal is waited for.</param>
internal sealed class CommandEndpoints(MachineController controller, ApiServerOptions options)
{
    public Task<ApiAnswer> Boot(ApiRequest request) => Done(controller.BootAsync());

    public Task<ApiAnswer> Delete(ApiRequest request) => Done(controller.DeleteAsync());

    public Task<ApiAnswer> Pause(ApiRequest request) => Done(controller.PauseAsync());

    public Task<ApiAnswer> Resume(ApiRequest request) => Done(controller.ResumeAsync());

    public Task<ApiAnswer> ShutDown(ApiRequest request) => Done(controller.ShutDownAsync());

    public Task<ApiAnswer> Reboot(ApiRequest request) => Done(controller.RebootAsync());

    public Task<ApiAnswer> PowerButton(ApiRequest request) => Done(controller.PressPowerButtonAsync());

    public Task<ApiAnswer> Nmi(ApiRequest request) => Done(controller.InjectNmiAsync());

    /// <summary>The answer goes out before the process ends: the server answers what is being asked.</summary>
    public Task<ApiAnswer> End(ApiRequest request)
    {
        controller.RequestEnd();
        return Task.FromResult(ApiAnswer.Done);
    }

    public async Task<ApiAnswer> Create(ApiRequest request)
    {
        await controller.CreateAsync(VmConfigReader.ReadVm(await request.ReadAsync("VmConfig").ConfigureAwait(false))).ConfigureAwait(false);
        return ApiAnswer.Done;
    }

    public async Task<ApiAnswer> AddDisk(ApiRequest request) =>
        await AddAsync(VmConfigReader.ReadDisk(await request.ReadAsync("DiskConfig").ConfigureAwait(false))).ConfigureAwait(false);

    public async Task<ApiAnswer> AddNet(ApiRequest request)
    {
        ConfigObject net = await request.ReadAsync("NetConfig").ConfigureAwait(false);
        IReadOnlyList<SafeFileHandle> descriptors = [.. request.Descriptors];
        ApiAnswer answer = await AddAsync(VmConfigReader.ReadNet(net, descriptors)).ConfigureAwait(false);
        request.GiveAwayDescriptors();
        return answer;
    }

    public async Task<ApiAnswer> AddDevice(ApiRequest request) =>
        await AddAsync(VmConfigReader.ReadDevice(await request.ReadAsync("DeviceConfig").ConfigureAwait(false))).ConfigureAwait(false);

    /// <summary>Answers when the device is gone; after a while, that the guest has not let go of it yet, and the removal goes on.</summary>
    public async Task<ApiAnswer> RemoveDevice(ApiRequest request)
    {
        ConfigObject body = await request.ReadAsync("VmRemoveDevice").ConfigureAwait(false);
        string id = body.RequireText("id");
        body.Finish();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(request.Aborted);
        limit.CancelAfter(options.RemovalLimit);
        try
        {
            await controller.RemoveDeviceAsync(id, limit.Token).ConfigureAwait(false);
            return ApiAnswer.Done;
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            string reason = controller.Info.Status == MachineStatus.Paused ? "it is paused" : "its driver has not switched the slot off yet";
            return ApiAnswer.Refusal(StatusCodes.Status202Accepted, $"the guest was asked for {id} and has not let go of it: {reason}");
        }
    }

    public async Task<ApiAnswer> ResizeDisk(ApiRequest request)
    {
        ConfigObject body = await request.ReadAsync("VmResizeDisk").ConfigureAwait(false);
        string id = body.RequireText("id");
        ulong size = body.TakeNumber("desired_size") ?? throw body.Bad("desired_size", "is needed: bytes");
        if (size > long.MaxValue)
        {
            throw body.Bad("desired_size", "more than a file can have");
        }

        body.Finish();
        return await Done(controller.ResizeDiskAsync(id, (long)size)).ConfigureAwait(false);
    }

    private static async Task<ApiAnswer> Done(Task command)
    {
        await command.ConfigureAwait(false);
        return ApiAnswer.Done;
    }

    private async Task<ApiAnswer> AddAsync(DeviceOptions device)
    {
        AddedDevice added = await controller.AddDeviceAsync(device).ConfigureAwait(false);
        return added.Address is not { } address
            ? ApiAnswer.Done
            : ApiAnswer.Of(json =>
            {
                json.WriteStartObject();
                json.WriteString("id", added.Id);
                json.WriteString("bdf", address);
                json.WriteEndObject();
            });
    }
}
